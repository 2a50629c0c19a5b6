import sqlite3
import threading

import pytest

from components.instructions.ledger import (
    LedgerError,
    find_entries,
    open_ledger,
    record_asking,
    record_outcomes,
)
from components.instructions.ledger_totals import answered_sample_ids, ledger_cost, ledger_totals
from components.instructions.provider import Answer, Failure
from components.instructions.request import InstructionRequest, RequestSpecification, identify_request
from components.records import Turn

SPECIFICATION = RequestSpecification(model="m")


def identified(name: str):
    return identify_request(InstructionRequest(f"t/{name}", "t", name, f"{name}.png", (name,)), SPECIFICATION)


A, B, C = identified("a"), identified("b"), identified("c")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/new/folder/ledger.sqlite"


@pytest.fixture
def ledger(url):
    with open_ledger(url) as ledger:
        yield ledger


def answer(request, price=0.25):
    return Answer(request.request_id, (Turn("q", "réponse"),), "m-2", "{raw}", 10, 5, price, 1.5)


def test_an_answer_survives_closing(url):
    with open_ledger(url) as ledger:
        record_asking(ledger, [A, B], provider="p", run="r1")
        record_outcomes(ledger, [answer(A)])
    with open_ledger(url) as ledger:
        entries = find_entries(ledger, [A.request_id, B.request_id, C.request_id])
    assert set(entries) == {A.request_id, B.request_id}
    entry = entries[A.request_id]
    assert (entry.state, entry.turns, entry.model) == ("answered", (Turn("q", "réponse"),), "m-2")
    assert (entry.attempts, entry.input_tokens, entry.output_tokens, entry.price_usd) == (1, 10, 5, 0.25)
    assert entries[B.request_id].state == "pending"


def test_asking_is_durable_before_anything_is_sent(url, tmp_path):
    with open_ledger(url) as ledger:
        record_asking(ledger, [A], provider="p")
        # Another process sees it at once, and the file is set up to keep it through a power cut.
        with sqlite3.connect(tmp_path / "new" / "folder" / "ledger.sqlite") as other:
            assert other.execute("select state, attempts from requests").fetchall() == [("pending", 1)]
        with ledger.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_failure_is_quarantined_with_its_cost(ledger):
    record_asking(ledger, [A], provider="p")
    record_outcomes(ledger, [Failure(A.request_id, "not_text", "why", "{raw}", 3, 2, 0.1)])
    entry = find_entries(ledger, [A.request_id])[A.request_id]
    assert (entry.state, entry.reason, entry.detail, entry.price_usd) == (
        "quarantined",
        "not_text",
        "why",
        0.1,
    )
    assert ledger_cost(ledger) == 0.1


@pytest.mark.parametrize("outcome", [answer(A), Failure(A.request_id, "r", "d")])
def test_what_has_an_outcome_is_never_sent_again(ledger, outcome):
    record_asking(ledger, [A], provider="p")
    record_outcomes(ledger, [outcome])
    with pytest.raises(LedgerError, match="have an outcome already"):
        record_asking(ledger, [B, A], provider="p")
    assert find_entries(ledger, [B.request_id]) == {}  # all or nothing
    with pytest.raises(LedgerError, match="not pending"):
        record_outcomes(ledger, [answer(A)])


def test_an_outcome_that_was_not_announced_is_refused(ledger):
    with pytest.raises(LedgerError, match="not pending"):
        record_outcomes(ledger, [answer(A)])


def test_a_lost_attempt_is_counted(ledger):
    record_asking(ledger, [A], provider="p", run="first")
    record_asking(ledger, [A], provider="p", run="second")
    record_outcomes(ledger, [answer(A)])
    assert find_entries(ledger, [A.request_id])[A.request_id].attempts == 2
    with ledger.engine.connect() as connection:
        rows = connection.exec_driver_sql("select number, run, outcome, price_usd from attempts order by number")
        assert [tuple(row) for row in rows] == [(1, "first", "lost", 0.0), (2, "second", "answered", 0.25)]


def test_totals_per_run(ledger):
    record_asking(ledger, [A, B], provider="p", run="first")
    record_outcomes(ledger, [answer(A), Failure(B.request_id, "r", "d", price_usd=0.05)])
    record_asking(ledger, [C], provider="p", run="second")
    totals = ledger_totals(ledger)
    assert (totals.requests, totals.answered, totals.quarantined, totals.pending) == (3, 1, 1, 1)
    assert (totals.attempts, totals.input_tokens, totals.output_tokens) == (3, 10, 5)
    assert totals.price_usd == pytest.approx(0.3)
    first, second = ledger_totals(ledger, run="first"), ledger_totals(ledger, run="second")
    assert (first.requests, first.attempts, first.pending) == (2, 2, 0)
    assert (second.requests, second.pending, second.price_usd) == (1, 1, 0.0)
    assert ledger_totals(ledger, run="none").requests == 0
    assert answered_sample_ids(ledger) == {"t/a"}


def test_many_requests_at_once(ledger):
    many = [identified(f"x{number}") for number in range(603)]
    record_asking(ledger, many, provider="p")
    record_outcomes(ledger, [answer(one, price=0.01) for one in many])
    entries = find_entries(ledger, [one.request_id for one in many])
    assert len(entries) == 603
    assert ledger_cost(ledger) == pytest.approx(6.03)


def test_writers_wait_for_each_other(url):
    errors = []

    def write(start: int) -> None:
        try:
            with open_ledger(url) as own:
                for number in range(start, start + 15):
                    request = identified(f"w{number}")
                    record_asking(own, [request], provider="p")
                    record_outcomes(own, [answer(request)])
        except Exception as error:  # noqa: BLE001 -- handed to the main thread
            errors.append(error)

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with open_ledger(url) as ledger:
        assert ledger_totals(ledger).answered == 45


def test_a_ledger_of_another_version_is_refused(url):
    with open_ledger(url) as ledger, ledger.engine.begin() as connection:
        connection.exec_driver_sql("update ledger_schema set version = 99")
    with pytest.raises(LedgerError, match="schema version 99"), open_ledger(url):
        pass


def test_two_outcomes_of_one_request_are_refused(ledger):
    record_asking(ledger, [A], provider="p")
    with pytest.raises(LedgerError, match="one outcome"):
        record_outcomes(ledger, [answer(A), answer(A)])
    assert ledger_cost(ledger) == 0


def test_runs_that_start_together_all_open_a_new_ledger(tmp_path):
    failures: list[Exception] = []

    def open_it(url, barrier):
        barrier.wait()
        try:
            with open_ledger(url):
                pass
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is reported below
            failures.append(error)

    for number in range(25):
        barrier = threading.Barrier(4)
        url = f"sqlite:///{tmp_path}/{number}.sqlite"
        threads = [threading.Thread(target=open_it, args=(url, barrier)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
