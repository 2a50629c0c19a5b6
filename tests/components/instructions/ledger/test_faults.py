"""What goes wrong with the ledger itself while replies that are paid for come in."""

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, make_url, select, text, update
from sqlalchemy.exc import OperationalError

import components.instructions.ledger.ledger as ledger_module
import components.instructions.ledger.retries as retries_module
from components.instructions.buy import buy_instructions
from components.instructions.ledger.ledger import LedgerError, find_entries, open_ledger
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.instructions.ledger.totals import ledger_totals, name_lost
from components.instructions.ledger.workers import registered_worker
from components.instructions.provider import Failure, Setback
from tests.components.instructions.ledger.test_ledger import A, B, C, answer, book_of, identified, sends
from tests.components.instructions.test_buy import ScriptedProvider, requests

CUT_EMOJI = "a small \ud83d red square"


def cut_off(ledger, worker):
    """Take a living purchase's lock away: end its session, or remove its file."""
    if ledger.file is not None:
        ledger.file.with_name(f"{ledger.file.name}.workers").joinpath(str(worker.number)).unlink()
        return
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        holders = "select pid from pg_locks where locktype = 'advisory' and objsubid = 2 and objid = :number"
        ended = connection.execute(
            text(f"select pg_terminate_backend(pid, 5000) from ({holders}) as holders"), {"number": worker.number}
        )
        assert ended.scalars().all() == [True]


def states(ledger, *requests):
    entries = find_entries(ledger, [one.request_id for one in requests])
    return [entries[one.request_id].state for one in requests]


def outcomes(ledger):
    statement = select(ATTEMPTS.c.outcome).order_by(ATTEMPTS.c.request_id, ATTEMPTS.c.number)
    with ledger.engine.connect() as connection:
        return list(connection.execute(statement).scalars())


def test_a_purchase_whose_lock_is_lost_takes_it_again_before_it_sends(ledger):
    with registered_worker(ledger, run="one") as first, registered_worker(ledger, run="two") as second:
        one, two = book_of(ledger, first, "one"), book_of(ledger, second, "two")
        assert one.announce(sends(A, B)) == [True, True]
        cut_off(ledger, first)
        assert two.announce(sends(A)) == [True], "it looks dead"
        assert one.announce(sends(A, C)) == [False, True], "what was taken over stays so"
        assert two.announce(sends(B, C)) == [False, False], "it is seen to be alive again"


def test_a_purchase_ends_in_peace_when_its_lock_is_lost(ledger):
    with registered_worker(ledger, run="one") as first:
        book = book_of(ledger, first, "one")
        book.announce(sends(A))
        cut_off(ledger, first)
        book.settle([answer(A)])
        book.release()
    assert states(ledger, A) == ["answered"]


@pytest.mark.parametrize("ends_with", ["setback", "answer", "failure"])
def test_a_late_outcome_does_not_take_a_claim_back(ledger, ends_with):
    with registered_worker(ledger, run="one") as first, registered_worker(ledger, run="two") as second:
        one, two = book_of(ledger, first, "one"), book_of(ledger, second, "two")
        one.announce(sends(A))
        cut_off(ledger, first)
        two.announce(sends(A))
        if ends_with == "setback":
            one.settle([Setback(A.request_id, "unknown", "timeout", "d")])
            with ledger.engine.connect() as connection:
                assert connection.execute(select(REQUESTS.c.claimed_by)).scalar_one() == second.number
            two.settle([answer(A)])
        elif ends_with == "answer":
            one.settle([answer(A)])
            two.settle([Failure(A.request_id, "not_json", "d")])
        else:  # the answer is paid for: it is kept though another purchase has given the request up
            two.settle([Failure(A.request_id, "not_json", "d")])
            one.settle([answer(A)])
    assert states(ledger, A) == ["answered"]
    assert find_entries(ledger, [A.request_id])[A.request_id].reason == ""


def test_a_ledger_is_the_same_through_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    with (
        open_ledger(f"sqlite:///{tmp_path}/real/ledger.sqlite") as ledger,
        open_ledger(f"sqlite:///{tmp_path}/link/ledger.sqlite") as linked,
        registered_worker(ledger, run="one") as first,
        registered_worker(linked, run="two") as second,
    ):
        book_of(ledger, first).announce(sends(A))
        assert book_of(linked, second).announce(sends(A)) == [False]
    (tmp_path / "other.sqlite").symlink_to(tmp_path / "real" / "ledger.sqlite")
    with (
        open_ledger(f"sqlite:///{tmp_path}/real/ledger.sqlite") as ledger,
        open_ledger(f"sqlite:///{tmp_path}/other.sqlite") as linked,
        registered_worker(ledger, run="one") as first,
        registered_worker(linked, run="two") as second,
    ):
        book_of(ledger, first).announce(sends(A))
        assert book_of(linked, second).announce(sends(A)) == [False]


@pytest.mark.parametrize("poison", [{"raw_text": CUT_EMOJI}, {"input_tokens": 10**20}, {"price_usd": None}])
def test_an_outcome_that_cannot_be_written_keeps_no_other_from_it(ledger, poison):
    from dataclasses import replace

    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, B, C, may_cost_usd=0.4))
        book.settle([answer(A), replace(answer(B), **poison), answer(C)])
        [reply] = book.unusable_replies([A.request_id, B.request_id, C.request_id])[B.request_id]
    assert states(ledger, A, B, C) == ["answered", "pending", "answered"]
    assert (reply.raw_text, reply.reason) == ("", "unwritable")
    assert "the ledger cannot hold the reply" in reply.detail
    assert find_entries(ledger, [B.request_id])[B.request_id].price_usd == 0.4, "it counts at its highest cost"
    assert book.spent_usd == pytest.approx(0.9), "as the ledger has it"


def test_a_failure_that_cannot_be_written_is_quarantined_all_the_same(ledger):
    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, may_cost_usd=0.4))
        book.settle([Failure(A.request_id, "not_json", "d", CUT_EMOJI)])
    assert states(ledger, A) == ["quarantined"]


def test_a_ledger_that_is_locked_for_a_while_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_module, "_BUSY_SECONDS", 0)
    with (
        open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger,
        registered_worker(ledger, run="r") as worker,
    ):
        book = book_of(ledger, worker)
        book.announce(sends(A))
        other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, lambda: other.execute("ROLLBACK")).start()
        book.settle([answer(A)])
        assert book.announce(sends(A, B)) == [False, True]
        other.close()
    assert ledger_totals_of(tmp_path).answered == 1


def ledger_totals_of(folder):
    with open_ledger(f"sqlite:///{folder}/ledger.sqlite") as ledger:
        return ledger_totals(ledger)


def test_a_commit_that_nobody_confirmed_is_not_booked_twice(ledger):
    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, B))
        lost: list[bool] = []

        def lose_the_confirmation(connection):
            if not lost:
                lost.append(True)
                if ledger.file is not None:
                    connection.exec_driver_sql("COMMIT")
                else:
                    connection.connection.commit()
                raise OperationalError("COMMIT", None, ConnectionError("the connection is lost"))

        event.listen(ledger.engine, "commit", lose_the_confirmation)
        book.settle([answer(A), Setback(B.request_id, "unusable", "not_json", "d", price_usd=0.2)])
        event.remove(ledger.engine, "commit", lose_the_confirmation)
        assert lost
    totals = ledger_totals(ledger)
    assert (totals.answered, totals.attempts) == (1, 2)
    assert totals.price_usd == pytest.approx(0.45)


def away(_):
    raise OperationalError("BEGIN", None, ConnectionError("the server is down"))


def test_a_ledger_that_stays_away_ends_the_purchase_and_what_was_in_flight_is_named_lost(ledger, monkeypatch, caplog):
    monkeypatch.setattr(retries_module, "_LONGEST_SECONDS", 0.3)
    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, B, may_cost_usd=0.4))
        book.settle([answer(B)])
        event.listen(ledger.engine, "begin", away)
        with pytest.raises(LedgerError, match=r"could not be written for 0 s .the server is down"):
            book.settle([answer(A)])
        with pytest.raises(LedgerError):
            book.announce(sends(C))
        book.release()
        event.remove(ledger.engine, "begin", away)
        assert "the ledger is away at the end of a purchase" in caplog.text
    totals = ledger_totals(ledger)
    assert (totals.requests, totals.answered, totals.uncertain, totals.uncertain_usd) == (2, 1, 1, 0.4)
    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.name_lost()
        assert book.announce(sends(A, B)) == [True, False]
        book.settle([answer(A)])
    assert sorted(outcomes(ledger)) == ["answered", "answered", "lost"]


def test_those_that_find_the_ledger_away_wait_together(ledger, monkeypatch):
    """More than there are threads, so that some begin when others have given up; each by itself would take a second."""
    monkeypatch.setattr(retries_module, "_LONGEST_SECONDS", 1.0)
    many = [identified(f"x{number}") for number in range(12)]
    with registered_worker(ledger, run="r") as worker, ThreadPoolExecutor(2) as pool:
        book = book_of(ledger, worker)
        book.announce(sends(*many))
        event.listen(ledger.engine, "begin", away)
        began = time.monotonic()
        ended = [pool.submit(book.settle, [answer(one)]) for one in many]
        assert [type(one.exception()) for one in ended] == [LedgerError] * len(many)
        assert time.monotonic() - began < 3
        event.remove(ledger.engine, "begin", away)
        book.settle([answer(one) for one in many])
    assert outcomes(ledger) == ["answered"] * len(many)


def test_settling_goes_on_when_the_ledger_is_back(ledger, caplog):
    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A))
        event.listen(ledger.engine, "begin", away)
        timer = threading.Timer(0.5, lambda: event.remove(ledger.engine, "begin", away))
        timer.start()
        book.settle([answer(A)])
        timer.join()
    assert outcomes(ledger) == ["answered"]
    assert caplog.text.count("the ledger is away, waiting for it") == 1


def test_replies_that_an_older_program_kept_beside_the_ledger_are_not_passed_over(url, tmp_path, monkeypatch):
    """Without them their requests would be bought a second time."""
    monkeypatch.chdir(tmp_path)
    address = make_url(url)
    beside = Path(f"{address.database}.unsettled")
    if address.get_backend_name() == "postgresql":
        beside = Path(".presel/unsettled") / f"{address.host}-{address.port}-{address.database}"
    beside.mkdir(parents=True)
    (beside / "1-a.part").touch()  # never finished, and never taken in
    with open_ledger(url):
        pass
    (beside / "1-a.jsonl").touch()
    with (
        pytest.raises(LedgerError, match=r"holds 1 files with replies that were paid for.*`presel batches list` once"),
        open_ledger(url),
    ):
        pass


def test_who_reads_and_who_writes_do_not_wait_for_each_other(url, monkeypatch):
    monkeypatch.setattr(ledger_module, "_BUSY_SECONDS", 0)
    monkeypatch.setattr(retries_module, "_LONGEST_SECONDS", 0.0)
    with open_ledger(url) as ledger, registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A))
        with ledger.writer.begin() as connection:
            connection.execute(update(REQUESTS).values(state="answered"))
            with open_ledger(url) as other:
                assert states(other, A) == ["pending"]
                assert ledger_totals(other).pending == 1
            assert book.run_spent_usd == 0
            connection.rollback()
        with ledger.engine.connect() as reader:
            assert reader.execute(select(ATTEMPTS.c.outcome)).scalars().all() == ["asked"]
            book.settle([answer(A)])
            assert book.announce(sends(B)) == [True]
        assert states(ledger, A, B) == ["answered", "pending"]


def test_many_threads_write_through_one_book_also_when_its_lock_is_lost(ledger):
    def buy(request):
        assert book.announce(sends(request)) == [True]
        book.settle([answer(request, price=0.01)])

    many = [identified(f"x{number}") for number in range(96)]
    with registered_worker(ledger, run="r") as worker, ThreadPoolExecutor(16) as pool:
        book = book_of(ledger, worker)
        book.announce(sends(A))
        cut_off(ledger, worker)
        assert list(pool.map(buy, many)) == [None] * 96
        assert book.spent_usd == pytest.approx(0.96)
        with registered_worker(ledger, run="other") as second:
            assert book_of(ledger, second).announce(sends(A)) == [False], "it is seen to be alive"
    assert ledger_totals(ledger).answered == 96


def test_what_a_kill_left_in_flight_counts_at_once(ledger):
    with registered_worker(ledger, run="r") as killed:
        book_of(ledger, killed).announce(sends(A, may_cost_usd=0.3))
        assert ledger_totals(ledger).uncertain == 0, "it is alive"
        assert name_lost(ledger) == 0
    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(B, may_cost_usd=0.3))
        totals = ledger_totals(ledger)
        assert (totals.uncertain, totals.uncertain_usd) == (1, 0.3)
        assert book.run_spent_usd == 0.3
        assert name_lost(ledger) == 1
        assert sorted(outcomes(ledger)) == ["asked", "lost"]
        assert ledger_totals(ledger) == totals


def test_what_is_out_in_a_batch_is_not_lost(ledger):
    with registered_worker(ledger, run="r") as killed:
        book = book_of(ledger, killed)
        book.announce(sends(A, batch=book.open_batch("batch"), may_cost_usd=0.3))
    assert ledger_totals(ledger).uncertain == 0
    assert name_lost(ledger) == 0


def test_an_interrupted_purchase_names_what_was_in_flight(ledger):
    class Interrupted(ScriptedProvider):
        def ask(self, wanted, *, book):
            book.announce(sends(*wanted, may_cost_usd=0.3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        buy_instructions(requests("a", "b"), provider=Interrupted(), ledger=ledger, run="r")
    assert outcomes(ledger) == ["lost", "lost"]
    assert ledger_totals(ledger, run="r").uncertain_usd == pytest.approx(0.6)


def test_a_purchase_names_what_others_left_in_flight_before_it_spends(ledger):
    with registered_worker(ledger, run="r") as killed:
        book_of(ledger, killed).announce(sends(A, may_cost_usd=0.3))
    seen = []

    class Looks(ScriptedProvider):
        def ask(self, wanted, *, book):
            seen.append((book.run_spent_usd, outcomes(ledger)))
            super().ask(wanted, book=book)

    buy_instructions(requests("x"), provider=Looks(), ledger=ledger, run="r")
    assert seen == [(0.3, ["lost"])]
