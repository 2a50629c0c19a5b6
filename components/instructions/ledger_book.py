"""A purchase's side of the ledger: claims what it sends, records what comes; see `PurchaseBook`."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Row, Select, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from components.instructions.ledger import IDS_PER_QUERY, Ledger, LedgerError, now_text
from components.instructions.ledger_rows import (
    COMPLETE_ATTEMPT,
    COMPLETE_REQUEST,
    attempt_outcome,
    attempt_row,
    identified_request_of,
    request_outcome,
    request_row,
)
from components.instructions.ledger_tables import ATTEMPTS, BATCHES, REQUESTS
from components.instructions.ledger_totals import ledger_totals
from components.instructions.ledger_workers import is_alive
from components.instructions.provider import OpenBatch, Outcome, Send, UnusableReply

# Attempts whose outcome may still come.
_UNSETTLED = ("asked", "lost")


class LedgerBook:
    """The `PurchaseBook` of one purchase.

    Args:
        ledger: where it is kept.
        provider: who is asked.
        run: label of the curation run.
        worker: number of this purchase, alive (`registered_worker`).
    """

    def __init__(self, ledger: Ledger, *, provider: str, run: str, worker: int) -> None:
        self._ledger = ledger
        self._provider = provider
        self._run = run
        self._worker = worker

    @property
    def run_spent_usd(self) -> float:
        """Dollars that the run has spent so far, what may have been charged included."""
        totals = ledger_totals(self._ledger, run=self._run)
        return totals.price_usd + totals.uncertain_usd

    def announce(self, sends: Sequence[Send]) -> list[bool]:
        """Claim requests and record that they are about to be sent; returns once that is durable."""
        granted: dict[str, bool] = {}
        # In one order for everybody, so that two purchases never wait for each other.
        ordered = sorted(sends, key=lambda send: send.request.request_id)
        for start in range(0, len(ordered), IDS_PER_QUERY):
            with self._ledger.engine.begin() as connection:
                granted |= self._claim(connection, ordered[start : start + IDS_PER_QUERY])
        return [granted[send.request.request_id] for send in sends]

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Record what became of sends; returns once that is durable.

        Raises:
            LedgerError: an outcome of something that was not announced, or that has its outcome already.
        """
        if not outcomes:
            return
        now = now_text()
        ordered = sorted(outcomes, key=lambda outcome: outcome.request_id)
        with self._ledger.engine.begin() as connection:
            numbers = self._unsettled(connection, [outcome.request_id for outcome in ordered])
            rows = [attempt_outcome(outcome, numbers[outcome.request_id], now) for outcome in ordered]
            connection.execute(COMPLETE_ATTEMPT, rows)
            connection.execute(
                COMPLETE_REQUEST, [request_outcome(outcome, now, worker=self._worker) for outcome in ordered]
            )

    def unusable_replies(self, request_ids: Sequence[str]) -> dict[str, list[UnusableReply]]:
        """What open requests have brought so far; see `PurchaseBook.unusable_replies`."""
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
        """Begin a batch; see `PurchaseBook.open_batch`."""
        row = {"kind": kind, "reference": "", "state": "open", "run": self._run, "worker": self._worker}
        with self._ledger.engine.begin() as connection:
            statement = insert(BATCHES).returning(BATCHES.c.number)
            return int(connection.execute(statement, {**row, "created_at": now_text()}).scalar_one())

    def name_batch(self, number: int, reference: str) -> None:
        """Say what the endpoint calls a batch, or where it was put."""
        with self._ledger.engine.begin() as connection:
            connection.execute(update(BATCHES).where(BATCHES.c.number == number).values(reference=reference))

    def adopt_batches(self, kind: str) -> list[OpenBatch]:
        """Take over the open batches that nobody looks after; see `PurchaseBook.adopt_batches`."""
        adopted = []
        with self._ledger.engine.begin() as connection:
            statement = select(BATCHES).where(BATCHES.c.kind == kind, BATCHES.c.state == "open")
            for row in connection.execute(_locked(connection, statement.order_by(BATCHES.c.number))).all():
                if row.worker not in (None, self._worker) and is_alive(self._ledger, connection, row.worker):
                    continue
                mine = {"worker": self._worker}
                connection.execute(update(BATCHES).where(BATCHES.c.number == row.number).values(mine))
                inside = select(ATTEMPTS.c.request_id).where(
                    ATTEMPTS.c.batch == row.number, ATTEMPTS.c.outcome.in_(_UNSETTLED)
                )
                of_batch = REQUESTS.c.request_id.in_(inside)
                connection.execute(update(REQUESTS).where(of_batch).values(claimed_by=self._worker))
                connection.execute(update(ATTEMPTS).where(ATTEMPTS.c.batch == row.number).values(mine))
                open_sends = (
                    select(REQUESTS, ATTEMPTS.c.kind, ATTEMPTS.c.may_cost_usd)
                    .join(ATTEMPTS, ATTEMPTS.c.request_id == REQUESTS.c.request_id)
                    .where(ATTEMPTS.c.batch == row.number, ATTEMPTS.c.outcome.in_(_UNSETTLED))
                    .order_by(REQUESTS.c.request_id)
                )
                found = [
                    Send(identified_request_of(one), one.kind, one.may_cost_usd, row.number)
                    for one in connection.execute(open_sends)
                ]
                adopted.append(OpenBatch(row.number, row.reference, tuple(found)))
        return adopted

    def close_batch(self, number: int, *, sent: bool = True) -> None:
        """Say that nothing more will come of a batch; see `PurchaseBook.close_batch`."""
        now = now_text()
        left = {"outcome": "lost" if sent else "refused", "finished_at": now}
        open_attempts = (ATTEMPTS.c.batch == number) & (ATTEMPTS.c.outcome == "asked")
        with self._ledger.engine.begin() as connection:
            connection.execute(update(ATTEMPTS).where(open_attempts).values(left))
            closed = {"state": "closed", "closed_at": now}
            connection.execute(update(BATCHES).where(BATCHES.c.number == number).values(closed))

    def release(self) -> None:
        """Let go of what is in hand; to be called when nothing more is in flight."""
        with self._ledger.engine.begin() as connection:
            mine = (REQUESTS.c.claimed_by == self._worker) & (REQUESTS.c.state == "pending")
            connection.execute(update(REQUESTS).where(mine).values(claimed_by=None))
            connection.execute(update(BATCHES).where(BATCHES.c.worker == self._worker).values(worker=None))

    def _claim(self, connection: Connection, sends: Sequence[Send]) -> dict[str, bool]:
        now = now_text()
        rows = [request_row(send.request, provider=self._provider, worker=self._worker, now=now) for send in sends]
        connection.execute(_insert_new(connection, rows))
        ids = [send.request.request_id for send in sends]
        wanted = select(REQUESTS).where(REQUESTS.c.request_id.in_(ids)).order_by(REQUESTS.c.request_id)
        found = {row.request_id: row for row in connection.execute(_locked(connection, wanted)).all()}
        may = self._free(connection, found.values())
        taken = [send for send in sends if send.request.request_id in may]
        if taken:
            mine = [send.request.request_id for send in taken]
            in_flight = ATTEMPTS.c.request_id.in_(mine) & (ATTEMPTS.c.outcome == "asked")
            connection.execute(update(ATTEMPTS).where(in_flight).values(outcome="lost", finished_at=now))
            values = {"claimed_by": self._worker, "attempts": REQUESTS.c.attempts + 1, "updated_at": now}
            connection.execute(update(REQUESTS).where(REQUESTS.c.request_id.in_(mine)).values(values))
            connection.execute(
                insert(ATTEMPTS),
                [
                    attempt_row(
                        send,
                        number=found[send.request.request_id].attempts + 1,
                        run=self._run,
                        worker=self._worker,
                        now=now,
                    )
                    for send in taken
                ],
            )
        return {request_id: request_id in may for request_id in ids}

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

    def _unsettled(self, connection: Connection, request_ids: Sequence[str]) -> dict[str, int]:
        """The number of the attempt of each request that this purchase has in flight."""
        numbers: dict[str, int] = {}
        for start in range(0, len(request_ids), IDS_PER_QUERY):
            ids = request_ids[start : start + IDS_PER_QUERY]
            # Locked in the order in which they are claimed.
            wanted = select(REQUESTS.c.request_id).where(REQUESTS.c.request_id.in_(ids)).order_by(REQUESTS.c.request_id)
            connection.execute(_locked(connection, wanted)).all()
            mine = (ATTEMPTS.c.worker == self._worker) & ATTEMPTS.c.outcome.in_(_UNSETTLED)
            latest = select(ATTEMPTS.c.request_id, func.max(ATTEMPTS.c.number)).where(
                ATTEMPTS.c.request_id.in_(ids), mine
            )
            numbers |= {name: number for name, number in connection.execute(latest.group_by(ATTEMPTS.c.request_id))}  # noqa: C416 -- rows are not tuples for mypy
        for request_id in request_ids:
            if request_id not in numbers:
                raise LedgerError(
                    f"outcome of request {request_id} that is not pending: a provider must announce a request "
                    "before it asks, and give one outcome for it"
                )
        if len(set(request_ids)) < len(request_ids):
            raise LedgerError("two outcomes of one request at once: a provider gives one outcome for each send")
        return numbers


def _insert_new(connection: Connection, rows: Sequence[dict[str, object]]) -> Insert:
    """Insert the rows whose request is not there yet."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(REQUESTS).values(rows).on_conflict_do_nothing()
    return sqlite.insert(REQUESTS).values(rows).on_conflict_do_nothing()


def _locked(connection: Connection, statement: Select[Any]) -> Select[Any]:
    """Rows that stay as they are until the transaction ends; SQLite's transactions have the whole ledger anyway."""
    return statement.with_for_update() if connection.dialect.name == "postgresql" else statement


def open_batches_of(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, str]:
    """Which requests are out in an open batch: request id -> what the batch is called."""
    out: dict[str, str] = {}
    with ledger.engine.connect() as connection:
        for start in range(0, len(request_ids), IDS_PER_QUERY):
            rows = connection.execute(
                select(ATTEMPTS.c.request_id, BATCHES.c.kind, BATCHES.c.number, BATCHES.c.reference)
                .join(BATCHES, BATCHES.c.number == ATTEMPTS.c.batch)
                .where(
                    ATTEMPTS.c.request_id.in_(request_ids[start : start + IDS_PER_QUERY]),
                    ATTEMPTS.c.outcome == "asked",
                    BATCHES.c.state == "open",
                )
            )
            out |= {row.request_id: f"{row.kind} {row.number} {row.reference}".strip() for row in rows}
    return out
