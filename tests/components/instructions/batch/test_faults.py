"""What a batch service, and what lies between, can do to a purchase: nothing is bought twice unseen."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from components.instructions import purchase_loop
from components.instructions.batch.service import BatchFailedError, BatchGoneError, BatchNotDoneError, EndpointBatches
from components.instructions.buy import InstructionError, buy_instructions
from components.instructions.endpoint.reply_reader import EndpointRefusedError
from components.instructions.ledger.batches import batches_out, give_up_batch
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import LedgerError, open_ledger
from components.instructions.ledger.tables import ATTEMPTS, BATCHES, REQUESTS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.ledger.workers import registered_worker
from components.instructions.purchase_errors import EndpointFailsError, PurchaseStoppedError
from tests.components.instructions.batch.test_provider import batches_at, outcomes, run_file
from tests.components.instructions.purchases import PRICE, draw_requests
from tests.instruction_server import running_instruction_server

COUNT = 8


@pytest.fixture
def buy(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", COUNT)

    def buy(at=server, **options):
        return buy_instructions(requests, provider=batches_at(at, tmp_path, **options), ledger=ledger, run="r")

    return buy


def states(ledger):
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(BATCHES.c.state).order_by(BATCHES.c.number)).scalars())


def charges(server):
    return len(server.accounts["charges"])


@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_api_key"), (403, None), (404, None), (429, "insufficient_quota")]
)
def test_a_batch_that_may_not_be_looked_at_stays_open(buy, ledger, server, status, code, monkeypatch):
    monkeypatch.setattr("components.instructions.batch.service._FREE_RETRIES", 1)
    server.behave(status=status, code=code)
    with pytest.raises(PurchaseStoppedError, match="run again"):
        buy()
    assert states(ledger) == ["open"]
    server.behave(status=200)
    assert outcomes(buy()) == ["answered"] * COUNT
    assert charges(server) == COUNT


def test_a_batch_that_is_gone_is_given_up_by_a_person_and_counts_at_its_highest_cost(buy, ledger, server):
    server.behave(status=404)
    with pytest.raises(BatchGoneError, match=r"does not know batch batch_.*`presel batches give-up 1`"):
        buy()
    assert [(batch.number, batch.requests) for batch in batches_out(ledger)] == [(1, COUNT)]
    given_up = give_up_batch(ledger, 1)
    assert (given_up.requests, given_up.endpoint) == (COUNT, server.url)
    totals = ledger_totals(ledger, run="r")
    assert totals.uncertain == COUNT
    assert totals.uncertain_usd == pytest.approx(given_up.may_cost_usd)
    with pytest.raises(LedgerError, match="no batch 1 is open"):
        give_up_batch(ledger, 1)
    server.behave(status=200)
    assert outcomes(buy()) == ["answered"] * COUNT + ["lost"] * COUNT


@pytest.mark.parametrize("ends", ["failed_in_part", "archived"])
def test_what_a_batch_of_unknown_status_has_answered_is_used(buy, server, ends):
    server.behave(ends=ends)
    assert outcomes(buy()) == ["answered"] * COUNT


def test_a_batch_of_unknown_status_without_results_stays_open_and_is_not_waited_for(buy, ledger, server):
    server.behave(ends="archived", answered_share=0.0)
    for _ in range(2):
        with pytest.raises(EndpointFailsError, match=r"is 'archived', which may mean anything.*give-up"):
            buy()
    assert [batch.requests for batch in batches_out(ledger)] == [COUNT]


def test_a_batch_that_somebody_looks_after_is_not_given_up(ledger):
    with registered_worker(ledger, run="r") as worker:
        LedgerBook(ledger, provider="batch", run="r", worker=worker).open_batch("batch")
        with pytest.raises(LedgerError, match="a run is looking after batch 1"):
            give_up_batch(ledger, 1)


def test_a_batch_that_the_service_refuses_costs_nothing(buy, ledger, server):
    server.behave(ends="failed")
    with pytest.raises(BatchFailedError, match=r"refused batch .*: made to fail"):
        buy()
    assert states(ledger) == ["closed"]
    server.behave(ends="completed")
    assert outcomes(buy()) == ["answered"] * COUNT + ["refused"] * COUNT
    assert ledger_totals(ledger).uncertain == 0


def test_a_batch_of_another_endpoint_is_left_alone(buy, ledger, server):
    server.behave(status=401)
    with pytest.raises(EndpointRefusedError):
        buy()
    with running_instruction_server() as other:
        with pytest.raises(InstructionError, match=f"{COUNT} requests are out in a batch.* at {server.url}; "):
            buy(other)
        assert charges(other) == 0
    server.behave(status=200)
    assert outcomes(buy()) == ["answered"] * COUNT


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\\ud83d"])
def test_a_line_ends_at_a_newline_and_may_hold_anything_else(buy, server, character):
    server.behave(add=character)
    bought = buy(changes={"repairs": 0})
    assert outcomes(bought) == ["answered"] * COUNT
    assert charges(server) == COUNT


def test_results_that_are_cut_short_are_fetched_again_and_not_bought_again(buy, ledger, server):
    server.behave(cut=0.6)
    with pytest.raises(EndpointFailsError, match=r"lack 4 answers that the endpoint counts.*the batch stays open"):
        buy()
    totals = ledger_totals(ledger)
    assert (totals.answered, states(ledger)) == (4, ["open"])
    server.behave(cut=1.0)
    assert outcomes(buy()) == ["answered"] * COUNT
    assert charges(server) == COUNT


def test_requests_that_the_results_do_not_name_may_have_been_charged(buy, ledger, server):
    server.behave(ends="cancelled", answered_share=0.75)
    bought = buy()
    assert outcomes(bought) == ["answered"] * COUNT + ["unknown"] * 2
    assert ledger_totals(ledger).uncertain == 2


def test_a_results_file_that_is_still_being_written_is_left_alone(tmp_path, buy, ledger, server):
    offline = {"submit": False}
    with pytest.raises(BatchNotDoneError):
        buy(**offline)
    [file] = (tmp_path / "batches").glob("*.jsonl")
    run_file(file, server)
    results = file.with_suffix(".results.jsonl")
    whole = results.read_text()
    lines = whole.splitlines(keepends=True)
    for so_far in ("", "".join(lines[:-1]), whole[:-1], "".join(lines[:4]) + lines[4][:50]):
        results.write_text(so_far)
        with pytest.raises(BatchNotDoneError, match="is not complete yet"):
            buy(**offline)
        assert ledger_totals(ledger).answered == 0
    results.write_text(whole)
    assert outcomes(buy(**offline)) == ["answered"] * COUNT


def test_one_request_that_is_forbidden_does_not_hold_up_the_others(buy, ledger, server):
    server.behave(line_status=403, line_from=COUNT - 1)
    bought = buy()
    assert outcomes(bought) == ["answered"] * (COUNT - 1) + ["failed"]
    assert [dropped.reason for dropped in bought.dropped] == ["rejected"]
    assert states(ledger) == ["closed"]


@pytest.mark.parametrize(
    ("status", "code", "answered"), [(429, "insufficient_quota", 4), (401, None, 4), (403, None, 0), (404, None, 0)]
)
def test_an_account_that_fails_within_a_batch_is_said_once_and_the_batch_is_done(
    buy, ledger, server, status, code, answered
):
    server.behave(line_status=status, code=code, line_from=answered)
    with pytest.raises(EndpointRefusedError, match=f"HTTP {status}"):
        buy()
    assert states(ledger) == ["closed"]
    assert ledger_totals(ledger).answered == answered
    server.behave(line_status=200)
    assert outcomes(buy()) == ["answered"] * COUNT + ["refused"] * (COUNT - answered)
    assert charges(server) == COUNT


def test_a_batch_of_another_model_is_booked_at_that_models_price(ledger, server, buy):
    dear = {**PRICE, "model": "dear-model", "input_usd": 300.0, "output_usd": 600.0}
    server.behave(status=401)
    with pytest.raises(EndpointRefusedError):
        buy(changes={"model": "dear-model"}, prices=[dear])
    server.behave(status=200)
    with pytest.raises(PurchaseStoppedError, match=r"no price of model 'dear-model'.* it stays open"):
        buy()
    assert states(ledger) == ["open"]
    buy(prices=[PRICE, dear])
    totals = ledger_totals(ledger)
    at_price = (totals.input_tokens / 2 * 3.0 + totals.output_tokens / 2 * 6.0) / 1e6 / 2
    assert totals.price_usd == pytest.approx(101 * at_price)


@pytest.fixture
def two_out(server, ledger, tmp_path, monkeypatch):
    """Requests that are out in two batches whose purchase ended."""
    requests = draw_requests(tmp_path / "images", 2 * COUNT)

    async def end(*_):
        await asyncio.sleep(0.5)  # until the second is handed in
        raise EndpointFailsError("the run ends")

    with monkeypatch.context() as patched:
        patched.setattr(EndpointBatches, "results", end)
        with pytest.raises(EndpointFailsError, match="the run ends"):
            buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger, run="r")
    assert states(ledger) == ["open", "open"]
    return requests


def test_a_batch_that_is_gone_does_not_keep_others_from_being_collected(ledger, server, tmp_path, two_out):
    with ledger.writer.begin() as connection:
        connection.execute(update(BATCHES).where(BATCHES.c.number == 1).values(reference="batch_gone"))
    for _ in range(2):
        with pytest.raises(BatchGoneError, match=r"does not know batch batch_gone.*`presel batches give-up 1`"):
            buy_instructions(two_out, provider=batches_at(server, tmp_path), ledger=ledger)
        assert states(ledger) == ["open", "closed"]
    assert (ledger_totals(ledger).answered, charges(server)) == (COUNT, COUNT), "what others brought is kept"


def test_several_batches_that_cannot_be_collected_are_all_named(ledger, server, tmp_path, two_out):
    with ledger.writer.begin() as connection:
        connection.execute(update(BATCHES).values(reference="batch_gone"))
    with pytest.raises(PurchaseStoppedError, match=r"give-up 1`.*give-up 2`"):
        buy_instructions(two_out, provider=batches_at(server, tmp_path), ledger=ledger)


def test_a_batch_without_a_price_does_not_keep_others_from_being_collected(ledger, server, tmp_path, two_out):
    in_first = REQUESTS.c.request_id.in_(select(ATTEMPTS.c.request_id).where(ATTEMPTS.c.batch == 1))
    with ledger.writer.begin() as connection:
        connection.execute(update(REQUESTS).where(in_first).values(specified_model="dear-model"))
    with pytest.raises(PurchaseStoppedError, match="no price of model 'dear-model'"):
        buy_instructions(two_out, provider=batches_at(server, tmp_path), ledger=ledger)
    assert (states(ledger), ledger_totals(ledger).answered) == (["open", "closed"], COUNT)


def test_results_that_cannot_be_read_do_not_keep_others_from_being_collected(ledger, server, tmp_path):
    requests = draw_requests(tmp_path / "images", 2 * COUNT)
    files = {"provider": batches_at(server, tmp_path, submit=False), "ledger": ledger}
    with pytest.raises(BatchNotDoneError):
        buy_instructions(requests, **files)
    first, second = (Path(batch.reference) for batch in batches_out(ledger))
    first.with_suffix(".results.jsonl").mkdir()
    run_file(second, server)
    with pytest.raises(BatchGoneError, match=rf"{first.stem}.* cannot be read .*give-up 1`"):
        buy_instructions(requests, **files)
    assert ledger_totals(ledger).answered == COUNT


def test_a_batch_that_was_begun_without_an_answer_is_found_again(buy, ledger, server):
    server.behave(create_status=502)
    with pytest.raises(EndpointFailsError, match="HTTP 502"):
        buy()
    assert states(ledger) == ["open"]
    server.behave(create_status=200)
    assert outcomes(buy()) == ["answered"] * COUNT
    assert charges(server) == COUNT


def test_a_batch_that_was_begun_and_is_not_listed_is_lost_not_refused(buy, ledger, server):
    server.behave(create_status=502)
    with pytest.raises(EndpointFailsError):
        buy()
    server.behave(create_status=200, hidden=True)
    assert outcomes(buy()) == ["answered"] * COUNT + ["lost"] * COUNT
    totals = ledger_totals(ledger, run="r")
    assert totals.uncertain == COUNT
    assert totals.uncertain_usd > 0


def test_a_batch_that_was_not_taken_frees_its_requests(buy, ledger, server):
    server.behave(create_status=429)
    with pytest.raises(EndpointFailsError, match="HTTP 429"):
        buy()
    assert states(ledger) == ["closed"]
    server.behave(create_status=200, hidden=True)
    assert outcomes(buy()) == ["answered"] * COUNT + ["refused"] * COUNT


def test_batches_of_a_run_that_died_before_it_sent_anything_are_closed(buy, ledger):
    with registered_worker(ledger, run="r") as worker:
        book = LedgerBook(ledger, provider="batch", run="r", worker=worker)
        book.open_batch("batch")
        book.announce_batch("batch", [], endpoint="http://127.0.0.1:1/v1")
        book.submit_batch(2)
    assert buy().instructions.num_rows == COUNT
    assert states(ledger)[0] == "closed"


def test_a_batch_that_mostly_expires_goes_on_in_the_next(buy, ledger, server, monkeypatch):
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 2)
    server.behave(answered_share=0.6)
    # 5 of 8, 2 of 3, 1 of 1.
    assert outcomes(buy()) == ["answered"] * COUNT + ["refused"] * 4


def test_lines_that_fail_after_answers_are_no_row_of_failures(buy, server, monkeypatch):
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 3)
    server.behave(failed_lines=5)
    assert outcomes(buy()) == ["answered"] * COUNT + ["refused"] * 5


def test_a_second_run_waits_for_the_batch_of_the_first(tmp_path, url, ledger, server):
    requests = draw_requests(tmp_path / "images", COUNT)
    server.behave(looks_until_done=10**9)
    bought = []

    def run(name):
        with open_ledger(url) as own:
            provider = batches_at(server, tmp_path / name)
            bought.append(buy_instructions(requests, provider=provider, ledger=own, run=name).instructions.num_rows)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    threads[0].start()
    while not [batch for batch in batches_out(ledger) if batch.reference]:
        time.sleep(0.01)
    threads[1].start()
    while len(states(ledger)) < 2:  # the second has seen that all is out
        time.sleep(0.01)
    time.sleep(1.5)
    assert threads[1].is_alive()
    server.behave(looks_until_done=0)
    for thread in threads:
        thread.join(60)
    assert bought == [COUNT, COUNT]
    assert charges(server) == COUNT


def test_a_key_with_the_end_of_its_line_is_taken(buy, monkeypatch):
    monkeypatch.setenv("PRESEL_TEST_KEY", "right-key-of-twelve\n")
    with running_instruction_server("--key", "right-key-of-twelve") as locked:
        assert buy(locked).instructions.num_rows == COUNT
