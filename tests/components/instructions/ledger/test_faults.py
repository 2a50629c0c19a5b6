"""What goes wrong with the ledger itself while replies that are paid for come in."""

import asyncio
import sqlite3
import threading

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError

import components.instructions.ledger.ledger as ledger_module
import components.instructions.ledger.patience as patience_module
from components.instructions.buy import buy_instructions
from components.instructions.ledger.grouped_book import grouped
from components.instructions.ledger.ledger import find_entries, open_ledger
from components.instructions.ledger.lost import name_lost
from components.instructions.ledger.patience import LedgerAwayError
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.ledger.workers import registered_worker
from components.instructions.provider import Failure, Setback
from tests.components.instructions.ledger.test_ledger import A, B, C, answer, book_of, sends
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


def test_a_failure_that_cannot_be_written_is_quarantined_all_the_same(ledger):
    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, may_cost_usd=0.4))
        book.settle([Failure(A.request_id, "not_json", "d", CUT_EMOJI)])
    assert states(ledger, A) == ["quarantined"]


def test_in_a_group_an_outcome_too_many_fails_alone(ledger):
    async def settle_all(book):
        with grouped(book) as writer:
            return await asyncio.gather(
                *(writer.settle(one) for one in (answer(A), answer(B), answer(C))), return_exceptions=True
            )

    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, C))
        ended = asyncio.run(settle_all(book))
    assert [type(one).__name__ for one in ended] == ["NoneType", "LedgerError", "NoneType"]
    assert states(ledger, A, C) == ["answered", "answered"]


def test_what_was_received_is_settled_when_nobody_waits_for_it_any_more(ledger):
    async def interrupted(book):
        with grouped(book) as writer:
            waiting = [asyncio.ensure_future(writer.settle(answer(one))) for one in (A, B)]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    with registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, B))
        asyncio.run(interrupted(book))
    assert states(ledger, A, B) == ["answered", "answered"]


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


def test_replies_are_kept_beside_a_ledger_that_stays_away_and_taken_in_later(url, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(patience_module, "_PATIENCE_SECONDS", 0.3)
    kept = tmp_path / "kept"

    def away(connection):
        raise OperationalError("BEGIN", None, ConnectionError("the server is down"))

    with open_ledger(url, server_unsettled=kept) as ledger, registered_worker(ledger, run="r") as worker:
        book = book_of(ledger, worker)
        book.announce(sends(A, B, C, may_cost_usd=0.4))
        event.listen(ledger.engine, "begin", away)
        with pytest.raises(LedgerAwayError, match="1 replies that were paid for are kept in"):
            book.settle([answer(A)])
        with pytest.raises(LedgerAwayError):
            book.settle([Setback(B.request_id, "unusable", "not_json", "d", CUT_EMOJI, price_usd=0.2)])
        with pytest.raises(LedgerAwayError):
            book.announce(sends(B))
        book.release()
        event.remove(ledger.engine, "begin", away)
        folder = ledger.unsettled
        assert len(list(folder.glob("*.jsonl"))) == 2
        copies = {file: file.read_bytes() for file in folder.glob("*.jsonl")}
        assert ledger_totals(ledger).answered == 0
    for _ in range(2):
        with open_ledger(url, server_unsettled=kept) as ledger:
            totals = ledger_totals(ledger)
            assert states(ledger, A, B, C) == ["answered", "pending", "pending"]
            assert totals.price_usd == pytest.approx(0.25 + 0.4), "the second could not be written, at its highest cost"
            assert (totals.uncertain, totals.uncertain_usd) == (1, 0.4), "of the third nobody knows"
            assert not list(folder.glob("*.jsonl"))
        for file, written in copies.items():  # a program that was killed before it removed them
            file.write_bytes(written)


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
