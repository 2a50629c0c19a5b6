"""Batches on a ledger that other purchases buy through at the same time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy.exc import OperationalError

from components.instructions import purchase_loop
from components.instructions.batch.service import EndpointBatches
from components.instructions.buy import buy_instructions
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.ledger.workers import Worker, registered_worker
from components.instructions.provider import Send
from components.instructions.purchase_errors import EndpointFailsError
from components.instructions.request import identify_request
from tests.components.instructions.batch.test_faults import charges, states
from tests.components.instructions.batch.test_provider import batches_at, one_by_one_at, outcomes
from tests.components.instructions.purchases import draw_requests
from tests.instruction_server import running_instruction_server

COUNT = 8


@pytest.fixture
def requests(tmp_path):
    return draw_requests(tmp_path / "images", COUNT)


@pytest.fixture
def workers(monkeypatch):
    """The workers that books are made for, in order."""
    made: list[Worker] = []
    init = LedgerBook.__init__

    def remember(book, *args, **options):
        made.append(options["worker"])
        init(book, *args, **options)

    monkeypatch.setattr(LedgerBook, "__init__", remember)
    return made


def identified(provider, requests):
    return [identify_request(one, spec) for one, spec in zip(requests, provider.specify(requests), strict=True)]


def test_what_another_purchase_has_in_hand_is_left_out_of_the_file(tmp_path, ledger, server, requests):
    """The rest is bought in one batch; what the other lets go of in a second."""
    provider = batches_at(server, tmp_path)
    with registered_worker(ledger, run="other") as worker:
        other = LedgerBook(ledger, provider="openai", run="other", worker=worker)
        other.announce([Send(one) for one in identified(provider, requests[: COUNT // 2])])
        with ThreadPoolExecutor() as pool:
            buying = pool.submit(buy_instructions, requests, provider=provider, ledger=ledger, run="this")
            while charges(server) < COUNT // 2:
                assert not buying.done(), buying.result()
                time.sleep(0.02)
            other.release()
            bought = buying.result(timeout=60)
    assert outcomes(bought) == ["answered"] * COUNT + ["lost"] * (COUNT // 2)
    assert charges(server) == COUNT


def test_purchases_that_share_a_folder_do_not_write_into_each_others_files(tmp_path, server):
    """Two containers may have the same process number; here it is one process."""

    def buy(number):
        bought = buy_instructions(pools[number], provider=providers[number], ledger=ledgers[number], run="r")
        return outcomes(bought)

    pools = [draw_requests(tmp_path / f"images-{number}", 40, task=f"task{number * 'x'}") for number in range(4)]
    providers = [batches_at(server, tmp_path) for _ in pools]
    with ExitStack() as opened, ThreadPoolExecutor(len(pools)) as pool:
        ledgers = [opened.enter_context(open_ledger(f"sqlite:///{tmp_path}/{number}.sqlite")) for number in range(4)]
        assert list(pool.map(buy, range(4))) == [["answered"] * 40] * 4
    assert charges(server) == 160


def test_a_batch_that_was_taken_over_on_its_way_up_is_not_handed_in(
    tmp_path, ledger, server, requests, monkeypatch, workers
):
    """Others could not see the purchase alive while it uploaded, took its batch for one never sent, and bought."""
    upload = EndpointBatches.upload
    rivals: list[bool] = []

    def upload_slowly(service, file):
        if not rivals:
            rivals.append(True)
            workers[0].lock.drop()
            with registered_worker(ledger, run="rival") as worker:
                book = LedgerBook(ledger, provider="batch", run="rival", worker=worker)
                [batch] = book.adopt_batches("batch", endpoint=server.url)
                assert not batch.submitting
                book.close_batch(batch.number, sent=False)
        return upload(service, file)

    monkeypatch.setattr(EndpointBatches, "upload", upload_slowly)
    provider = batches_at(server, tmp_path)
    bought = buy_instructions(requests, provider=provider, ledger=ledger, run="this")
    assert outcomes(bought) == ["answered"] * COUNT + ["refused"] * COUNT
    assert charges(server) == COUNT


def test_a_batch_that_another_run_collects_is_left_to_it(tmp_path, url, ledger, server, requests, monkeypatch, workers):
    """The purchase was not seen alive while it waited for its batch: the next run took the batch, and settles it."""
    waiting, taken = threading.Event(), threading.Event()
    wait = EndpointBatches.results

    def results(service, reference, request_ids):
        if not waiting.is_set():
            waiting.set()
            assert taken.wait(60)
        return wait(service, reference, request_ids)

    monkeypatch.setattr(EndpointBatches, "results", results)

    provider = batches_at(server, tmp_path)

    def buy(name):
        with open_ledger(url) as own:
            return buy_instructions(requests, provider=provider, ledger=own, run=name)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(buy, "first")
        assert waiting.wait(60)
        workers[0].lock.drop()
        try:
            second = pool.submit(buy, "second").result(timeout=30)
        finally:
            taken.set()
        assert outcomes(first.result(timeout=60)) == outcomes(second) == ["answered"] * COUNT
    assert charges(server) == COUNT


def test_a_batch_of_an_earlier_run_that_another_run_collects_is_left_to_it(
    tmp_path, url, ledger, server, requests, monkeypatch, workers
):
    """As above, for a batch that the purchase had itself taken over from a run that ended."""
    wait = EndpointBatches.results

    async def end(service, reference, request_ids):
        raise EndpointFailsError("the run ends while its batch is out")

    provider = batches_at(server, tmp_path)
    monkeypatch.setattr(EndpointBatches, "results", end)
    with pytest.raises(EndpointFailsError, match="the run ends"):
        buy_instructions(requests, provider=provider, ledger=ledger, run="earlier")

    waiting, taken = threading.Event(), threading.Event()

    def results(service, reference, request_ids):
        if not waiting.is_set():
            waiting.set()
            assert taken.wait(60)
        return wait(service, reference, request_ids)

    monkeypatch.setattr(EndpointBatches, "results", results)

    def buy(name):
        with open_ledger(url) as own:
            return buy_instructions(requests, provider=provider, ledger=own, run=name)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(buy, "first")
        assert waiting.wait(60)
        workers[1].lock.drop()
        try:
            second = pool.submit(buy, "second").result(timeout=30)
        finally:
            taken.set()
        assert outcomes(first.result(timeout=60)) == outcomes(second) == ["answered"] * COUNT
    assert charges(server) == COUNT


def test_a_commit_whose_answer_was_lost_keeps_nobody_waiting_for_itself(
    tmp_path, ledger, server, requests, monkeypatch
):
    claim = LedgerBook._as_seen_alive
    lost: list[bool] = []

    def claim_without_hearing(book, action):
        result = claim(book, action)
        if not lost:
            lost.append(True)
            raise OperationalError("commit", {}, ConnectionError("the answer was lost"))
        return result

    monkeypatch.setattr(LedgerBook, "_as_seen_alive", claim_without_hearing)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger, run="r")
    assert outcomes(bought) == ["answered"] * COUNT + ["refused"] * COUNT
    assert charges(server) == COUNT
    assert set(states(ledger)) == {"closed"}


def test_a_batch_that_brought_nothing_usable_stops_the_run_that_collects_it(tmp_path, ledger, requests, monkeypatch):
    def end(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", COUNT - 1)

    with running_instruction_server("--faults", "refusal", "--fault-rate", "1.0") as refusing:
        provider = batches_at(refusing, tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(EndpointBatches, "results", end)
            with pytest.raises(KeyboardInterrupt):
                buy_instructions(requests, provider=provider, ledger=ledger, run="first")
        with pytest.raises(EndpointFailsError, match="brought nothing usable"):
            buy_instructions(requests, provider=provider, ledger=ledger, run="second")
        assert charges(refusing) == COUNT


def test_a_run_that_asks_at_once_waits_for_a_batch_that_is_looked_after(tmp_path, url, ledger, server, requests):
    server.behave(looks_until_done=10**9)

    provider, asking = batches_at(server, tmp_path), one_by_one_at(server, tmp_path)

    def batch():
        with open_ledger(url) as own:
            return buy_instructions(requests[:4], provider=provider, ledger=own, run="batch").instructions.num_rows

    with ThreadPoolExecutor() as pool:
        first = pool.submit(batch)
        while not states(ledger):
            time.sleep(0.01)
        at_once = pool.submit(buy_instructions, requests, provider=asking, ledger=ledger, run="at once")
        while ledger_totals(ledger, run="at once").answered < COUNT - 4:
            assert not at_once.done(), at_once.result()
            time.sleep(0.02)
        time.sleep(2.5)
        assert not at_once.done(), "what is out in the batch is waited for"
        assert len(states(ledger)) == 1, "and nothing is written meanwhile"
        server.behave(looks_until_done=0)
        assert (first.result(timeout=60), at_once.result(timeout=60).instructions.num_rows) == (4, COUNT)
    assert charges(server) == COUNT


def test_what_others_of_a_run_have_in_flight_counts_as_spent(ledger, server, tmp_path, requests):
    one, two, three = identified(batches_at(server, tmp_path), requests[:3])
    with registered_worker(ledger, run="r") as first, registered_worker(ledger, run="r") as second:
        mine, other = (LedgerBook(ledger, provider="p", run="r", worker=worker) for worker in (first, second))
        mine.announce([Send(one, may_cost_usd=0.1)])
        other.announce([Send(two, may_cost_usd=0.2)])
        number, _ = other.announce_batch("batch", [Send(three, may_cost_usd=0.4)], endpoint="e")
        assert mine.run_spent_usd == pytest.approx(0.6)
        assert other.run_spent_usd == pytest.approx(0.1)
        other.submit_batch(number)
        other.release()  # what it had in flight is lost, its batch stays out
        assert mine.run_spent_usd == pytest.approx(0.6)
    assert ledger_totals(ledger, run="r").uncertain_usd == pytest.approx(0.3)
