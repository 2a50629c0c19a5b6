"""A purchase's side of the ledger: claims what it sends, records what comes; see `PurchaseBook`."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Insert, Row, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from components.instructions.ledger.batches import begin_batch, end_batch, take_over_batches
from components.instructions.ledger.ledger import IDS_PER_QUERY, Ledger, now_text
from components.instructions.ledger.lost import IN_FLIGHT, name_lost
from components.instructions.ledger.patience import Patience
from components.instructions.ledger.rows import attempt_row, locked, request_row
from components.instructions.ledger.settling import Settling
from components.instructions.ledger.tables import ATTEMPTS, BATCHES, REQUESTS
from components.instructions.ledger.totals import in_flight_usd, ledger_totals
from components.instructions.ledger.workers import Worker, is_alive
from components.instructions.provider import BatchTakenOverError, OpenBatch, Outcome, Send, UnusableReply

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class LedgerBook:
    """The `PurchaseBook` of one purchase.

    Args:
        ledger: where it is kept.
        provider: who is asked.
        run: label of the curation run.
        worker: this purchase, alive (`registered_worker`).
    """

    def __init__(self, ledger: Ledger, *, provider: str, run: str, worker: Worker) -> None:
        self._ledger = ledger
        self._provider = provider
        self._run = run
        self._worker = worker.number
        self._lock = worker.lock
        self._patience = Patience()
        self._settling = Settling(ledger, worker=worker.number, patience=self._patience)
        self._numbers: dict[str, int] = {}  # of the attempts in flight

    def name_lost(self) -> None:
        """Name as `lost` what purchases that are not alive had in flight."""
        self._patience.until_done(lambda: name_lost(self._ledger))

    @property
    def run_spent_usd(self) -> float:
        """Dollars that the run has spent so far; with what may have been charged and what others have in flight."""

        def spent() -> float:
            totals = ledger_totals(self._ledger, run=self._run)
            in_flight = in_flight_usd(self._ledger, run=self._run, but_of=self._worker)
            return totals.price_usd + totals.uncertain_usd + in_flight

        return self._patience.until_done(spent)

    def announce(self, sends: Sequence[Send]) -> list[bool]:
        """Claim requests and record that they are about to be sent; returns once that is durable.

        Raises:
            LedgerAwayError: the ledger stayed away for minutes; nothing of this may be sent.
        """
        granted: dict[str, int] = {}
        # In one order for everybody, so that two purchases never wait for each other.
        ordered = sorted(sends, key=lambda send: send.request.request_id)
        for start in range(0, len(ordered), IDS_PER_QUERY):
            some = ordered[start : start + IDS_PER_QUERY]
            granted |= self._patience.until_done(partial(self._announce_some, some))
        self._numbers |= granted
        return [send.request.request_id in granted for send in sends]

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Record what became of sends; returns once that is durable; see `Settling.settle`."""
        self._settling.settle(outcomes, self._numbers)
        for outcome in outcomes:
            self._numbers.pop(outcome.request_id, None)

    def unusable_replies(self, request_ids: Sequence[str]) -> dict[str, list[UnusableReply]]:
        """What open requests have brought so far; see `PurchaseBook.unusable_replies`."""
        return self._patience.until_done(lambda: self._unusable_replies(request_ids))

    def _unusable_replies(self, request_ids: Sequence[str]) -> dict[str, list[UnusableReply]]:
        found: dict[str, list[UnusableReply]] = {}
        with self._ledger.engine.connect() as connection:
            for start in range(0, len(request_ids), IDS_PER_QUERY):
                wanted = ATTEMPTS.c.request_id.in_(request_ids[start : start + IDS_PER_QUERY])
                statement = select(ATTEMPTS).where(wanted, ATTEMPTS.c.outcome == "unusable")
                for row in connection.execute(statement.order_by(ATTEMPTS.c.request_id, ATTEMPTS.c.number)):
                    reason, _, detail = row.error.partition(": ")
                    found.setdefault(row.request_id, []).append(UnusableReply(row.raw_text, reason, detail))
        return found

    def open_batch(self, kind: str) -> int:
        """Begin a batch, before anything in it is announced; returns its number."""
        with self._ledger.engine.begin() as connection:
            return begin_batch(connection, kind=kind, run=self._run, worker=self._worker)

    def announce_batch(self, kind: str, sends: Sequence[Send], *, endpoint: str) -> tuple[int, list[bool]]:
        """Begin a batch and announce what goes into it; see `PurchaseBook.announce_batch`.

        Raises:
            LedgerAwayError: the ledger stayed away for minutes; nothing of this may be sent.
        """
        ordered = sorted(sends, key=lambda send: send.request.request_id)
        number, granted = self._patience.until_done(
            lambda: self._as_seen_alive(partial(self._claim_batch, kind=kind, sends=ordered, endpoint=endpoint))
        )
        self._numbers |= granted
        return number, [send.request.request_id in granted for send in sends]

    def submit_batch(self, number: int) -> None:
        """Say that handing a batch in begins; see `PurchaseBook.submit_batch`."""
        mine = (BATCHES.c.number == number) & (BATCHES.c.worker == self._worker) & (BATCHES.c.state == "open")

        def begin(connection: Connection) -> bool:
            begun = connection.execute(update(BATCHES).where(mine).values(submitted_at=now_text()))
            return bool(begun.rowcount)

        if not self._patience.until_done(lambda: self._as_seen_alive(begin)):
            raise BatchTakenOverError(
                f"batch {number} was taken over or given up while its file was on its way up: it is not handed in"
            )

    def name_batch(self, number: int, reference: str) -> None:
        """Say what the endpoint calls a batch, or where it was put."""
        self._write_batch(number, reference=reference)

    def adopt_batches(self, kind: str, *, endpoint: str | None = None) -> list[OpenBatch]:
        """Take over the open batches that nobody looks after; see `PurchaseBook.adopt_batches`."""

        def take_over() -> list[OpenBatch]:
            with self._ledger.engine.begin() as connection:
                return take_over_batches(self._ledger, connection, kind=kind, worker=self._worker, endpoint=endpoint)

        return self._patience.until_done(take_over)

    def close_batch(self, number: int, *, sent: bool = True) -> None:
        """Say that nothing more will come of a batch; see `PurchaseBook.close_batch`."""

        def close() -> None:
            with self._ledger.engine.begin() as connection:
                end_batch(connection, number, sent=sent)

        self._patience.until_done(close)

    def release(self) -> None:
        """Let go of what is in hand; to be called when nothing is sent any more.

        What is still in flight then has no outcome that anybody will see, and is named `lost`.
        """
        self._patience.hurry()
        try:
            with self._ledger.engine.begin() as connection:
                mine = (REQUESTS.c.claimed_by == self._worker) & (REQUESTS.c.state == "pending")
                connection.execute(update(REQUESTS).where(mine).values(claimed_by=None))
                connection.execute(update(BATCHES).where(BATCHES.c.worker == self._worker).values(worker=None))
                in_flight = IN_FLIGHT & (ATTEMPTS.c.worker == self._worker)
                lost = {"outcome": "lost", "finished_at": now_text()}
                connection.execute(update(ATTEMPTS).where(in_flight).values(lost))
        except SQLAlchemyError as error:
            # All of this is so without being written, as soon as this purchase's lock is gone.
            _LOG.warning("the ledger is away at the end of a purchase: %s", error)

    def _write_batch(self, number: int, **values: str) -> None:
        def write() -> None:
            with self._ledger.engine.begin() as connection:
                connection.execute(update(BATCHES).where(BATCHES.c.number == number).values(values))

        # A batch that is on its way is paid for: its name is worth waiting for the ledger.
        self._patience.until_done(write)

    def _announce_some(self, sends: Sequence[Send]) -> dict[str, int]:
        return self._as_seen_alive(partial(self._claim, sends=sends))

    def _as_seen_alive(self, claim: Callable[[Connection], T]) -> T:
        """Claim in a transaction at whose beginning others saw that this purchase is alive."""
        while True:
            with self._ledger.engine.begin() as connection:
                if self._lock.is_held(connection):
                    return claim(connection)
            _LOG.warning(
                "others could not see any more that purchase %d is alive (the session or the file of its lock was "
                "removed); it shows itself again and goes on with what nobody has taken over",
                self._worker,
            )
            self._lock.take()

    def _claim_batch(
        self, connection: Connection, *, kind: str, sends: Sequence[Send], endpoint: str
    ) -> tuple[int, dict[str, int]]:
        number = begin_batch(connection, kind=kind, run=self._run, worker=self._worker, endpoint=endpoint)
        granted: dict[str, int] = {}
        for start in range(0, len(sends), IDS_PER_QUERY):
            some = [replace(send, batch=number) for send in sends[start : start + IDS_PER_QUERY]]
            granted |= self._claim(connection, some)
        return number, granted

    def _claim(self, connection: Connection, sends: Sequence[Send]) -> dict[str, int]:
        """Claim what is free and write its attempts; returns their numbers."""
        now = now_text()
        rows = [request_row(send.request, provider=self._provider, worker=self._worker, now=now) for send in sends]
        connection.execute(_insert_new(connection, rows))
        ids = [send.request.request_id for send in sends]
        wanted = select(REQUESTS).where(REQUESTS.c.request_id.in_(ids)).order_by(REQUESTS.c.request_id)
        found = {row.request_id: row for row in connection.execute(locked(connection, wanted)).all()}
        may = self._free(connection, found.values())
        # After the lock: a reply that another purchase has paid for since this one looked goes on with its repair.
        may -= _outdated(connection, [send for send in sends if send.request.request_id in may])
        taken = [send for send in sends if send.request.request_id in may]
        numbers = {request_id: found[request_id].attempts + 1 for request_id in may}
        if taken:
            mine = [send.request.request_id for send in taken]
            in_flight = ATTEMPTS.c.request_id.in_(mine) & (ATTEMPTS.c.outcome == "asked")
            connection.execute(update(ATTEMPTS).where(in_flight).values(outcome="lost", finished_at=now))
            values = {"claimed_by": self._worker, "attempts": REQUESTS.c.attempts + 1, "updated_at": now}
            connection.execute(update(REQUESTS).where(REQUESTS.c.request_id.in_(mine)).values(values))
            rows = [
                attempt_row(send, number=numbers[send.request.request_id], run=self._run, worker=self._worker, now=now)
                for send in taken
            ]
            connection.execute(insert(ATTEMPTS), rows)
        return numbers

    def _free(self, connection: Connection, rows: Iterable[Row[tuple[object, ...]]]) -> set[str]:
        """Of pending requests, those that are in nobody's hand and not out in a batch."""
        pending = [row for row in rows if row.state == "pending"]
        holders = {row.claimed_by for row in pending} - {None, self._worker}
        alive = {number for number in holders if is_alive(self._ledger, connection, number)}
        free = {row.request_id for row in pending if row.claimed_by not in alive}
        out = connection.execute(
            select(ATTEMPTS.c.request_id)
            .join(BATCHES, BATCHES.c.number == ATTEMPTS.c.batch)
            .where(ATTEMPTS.c.request_id.in_(free), ATTEMPTS.c.outcome == "asked", BATCHES.c.state == "open")
        )
        return free - set(out.scalars())


def _outdated(connection: Connection, sends: Sequence[Send]) -> set[str]:
    """Requests that have brought other unusable replies by now than the send takes into account."""
    counted = select(ATTEMPTS.c.request_id, func.count()).where(
        ATTEMPTS.c.request_id.in_([send.request.request_id for send in sends]), ATTEMPTS.c.outcome == "unusable"
    )
    found = {row[0]: row[1] for row in connection.execute(counted.group_by(ATTEMPTS.c.request_id))}
    ids = {send.request.request_id: send.replies for send in sends if send.replies is not None}
    return {request_id for request_id, replies in ids.items() if found.get(request_id, 0) != replies}


def _insert_new(connection: Connection, rows: Sequence[dict[str, object]]) -> Insert:
    """Insert the rows whose request is not there yet."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(REQUESTS).values(rows).on_conflict_do_nothing()
    return sqlite.insert(REQUESTS).values(rows).on_conflict_do_nothing()


def open_batches_of(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, str]:
    """Which requests are out in an open batch: request id -> what the batch is called."""
    out: dict[str, str] = {}
    with ledger.engine.connect() as connection:
        for start in range(0, len(request_ids), IDS_PER_QUERY):
            rows = connection.execute(
                select(ATTEMPTS.c.request_id, BATCHES.c.kind, BATCHES.c.number, BATCHES.c.reference, BATCHES.c.endpoint)
                .join(BATCHES, BATCHES.c.number == ATTEMPTS.c.batch)
                .where(
                    ATTEMPTS.c.request_id.in_(request_ids[start : start + IDS_PER_QUERY]),
                    ATTEMPTS.c.outcome == "asked",
                    BATCHES.c.state == "open",
                )
            )
            for row in rows:
                name = f"{row.kind} {row.number} {row.reference}".strip()
                out[row.request_id] = f"{name} at {row.endpoint}" if row.endpoint else name
    return out
