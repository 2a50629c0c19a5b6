"""A purchase's side of the ledger: claims what it sends, records what comes, counts both; see `PurchaseBook`."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from components.compute.progress import NotedProgress, no_progress
from components.instructions.ledger.batches import begin_batch, end_batch, take_over_batches
from components.instructions.ledger.claims import claim_requests
from components.instructions.ledger.failures import answered_like, earlier_failures, give_up
from components.instructions.ledger.ledger import Ledger, chunks, now_text
from components.instructions.ledger.retries import with_retries
from components.instructions.ledger.settling import settle_outcomes
from components.instructions.ledger.tables import ATTEMPTS, BATCHES, REQUESTS
from components.instructions.ledger.totals import IN_FLIGHT, name_lost, run_spent_usd
from components.instructions.ledger.workers import Worker
from components.instructions.provider import (
    Answer,
    BatchTakenOverError,
    EarlierFailures,
    Failure,
    OpenBatch,
    Outcome,
    Send,
    UnusableReply,
)
from components.instructions.request import IdentifiedRequest, RequestSpecification
from components.pool.samples import Dropped

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class LedgerBook:
    """The `PurchaseBook` of one purchase.

    Attributes:
        spent_usd: dollars paid since it was made.
        asks_again: whether a person wants those asked for once more that have had all their repairs.
        left_out: request id -> why it could not be sent as things are.

    Args:
        ledger: where it is kept.
        provider: who is asked.
        run: label of the curation run.
        worker: this purchase, alive (`registered_worker`).
        progress: told about requests, and the cost so far.
        done: requests that had their outcome before.
        total: requests.
        asks_again: see the attribute.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        provider: str,
        run: str,
        worker: Worker,
        progress: NotedProgress = no_progress,
        done: int = 0,
        total: int = 0,
        asks_again: bool = False,
    ) -> None:
        self._ledger = ledger
        self._provider = provider
        self._run = run
        self._worker = worker.number
        self._alive = worker.lock
        self._progress = progress
        self._done = done
        self._total = total
        self._counting = threading.Lock()
        self._showing = threading.Lock()
        self._refused: set[str] = set()
        self._in_batch: dict[int, list[str]] = {}
        self.spent_usd = 0.0
        self.asks_again = asks_again
        self.left_out: dict[str, Dropped] = {}
        progress(done, total)

    @property
    def run_spent_usd(self) -> float:
        """Dollars that the run has spent so far; with what may have been charged and what others have in flight."""
        return with_retries(self._ledger, lambda: run_spent_usd(self._ledger, run=self._run, but_of=self._worker))

    def name_lost(self) -> None:
        """Name as `lost` what purchases that are not alive had in flight."""
        with_retries(self._ledger, lambda: name_lost(self._ledger))

    def announce(self, sends: Sequence[Send]) -> list[bool]:
        """Claim requests and record that they are about to be sent; returns once that is durable.

        Raises:
            LedgerError: the ledger stayed away for minutes; nothing of this may be sent.
        """
        claimed: set[str] = set()
        for some in chunks(_in_order(sends)):
            claimed |= with_retries(self._ledger, partial(self._as_seen_alive, partial(self._claim, some)))
        return self._granted(sends, claimed)

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Record what became of sends; returns once that is durable; see `settle_outcomes`."""
        try:
            recorded = settle_outcomes(self._ledger, outcomes, worker=self._worker)
        except BatchTakenOverError:
            self._leave_to_others(outcome.request_id for outcome in outcomes)
            raise
        with self._counting:
            self.spent_usd += sum(outcome.price_usd for outcome in recorded)
            self._done += sum(isinstance(outcome, Answer | Failure) for outcome in recorded)
            self._report()

    def give_up(self, request_ids: Sequence[str]) -> None:
        """Quarantine requests whose sends are settled; see `PurchaseBook.give_up`."""
        booked = with_retries(self._ledger, lambda: give_up(self._ledger, request_ids))
        if len(booked) < len(request_ids):  # another has them in flight, or had them when it was killed
            self.name_lost()
            booked |= with_retries(self._ledger, lambda: give_up(self._ledger, request_ids))
        self._leave_to_others(request_id for request_id in request_ids if request_id not in booked)
        with self._counting:
            self.spent_usd += sum(booked.values())
            self._done += len(booked)
            self._report()

    def leave_out(self, identified: IdentifiedRequest, *, reason: str, detail: str) -> None:
        """Count a request that cannot be sent as things are; the ledger learns nothing of it."""
        with self._counting:
            self.left_out[identified.request_id] = Dropped(identified.request.sample_id, reason, detail)
            self._done += 1
            self._report()

    def take_refused(self) -> set[str]:
        """Requests that could not be claimed, or were taken over, since the last call, and were not claimed later."""
        with self._counting:
            refused, self._refused = self._refused, set()
        return refused

    def unusable_replies(self, request_ids: Sequence[str]) -> dict[str, list[UnusableReply]]:
        """What open requests have brought so far; see `PurchaseBook.unusable_replies`."""
        return with_retries(self._ledger, lambda: _unusable_replies(self._ledger, request_ids))

    def earlier_failures(self, request_ids: Sequence[str]) -> dict[str, EarlierFailures]:
        """How open requests have failed so far; see `PurchaseBook.earlier_failures`."""
        return with_retries(self._ledger, lambda: earlier_failures(self._ledger, request_ids))

    def answered_like(self, specification: RequestSpecification) -> list[IdentifiedRequest]:
        """Some requests that were answered; see `PurchaseBook.answered_like`."""
        return with_retries(self._ledger, lambda: answered_like(self._ledger, specification))

    def open_batch(self, kind: str) -> int:
        """Begin a batch, before anything in it is announced; returns its number."""
        with self._ledger.writer.begin() as connection:
            return begin_batch(connection, kind=kind, run=self._run, worker=self._worker)

    def announce_batch(self, kind: str, sends: Sequence[Send], *, endpoint: str) -> tuple[int, list[bool]]:
        """Begin a batch and announce what goes into it; see `PurchaseBook.announce_batch`.

        Raises:
            LedgerError: the ledger stayed away for minutes; nothing of this may be sent.
        """
        ordered = _in_order(sends)

        def claim(connection: Connection) -> tuple[int, set[str]]:
            number = begin_batch(connection, kind=kind, run=self._run, worker=self._worker, endpoint=endpoint)
            return number, self._claim([replace(send, batch=number) for send in ordered], connection)

        number, claimed = with_retries(self._ledger, lambda: self._as_seen_alive(claim))
        self._in_batch[number] = sorted(claimed)
        return number, self._granted(sends, claimed)

    def submit_batch(self, number: int) -> None:
        """Say that handing a batch in begins; see `PurchaseBook.submit_batch`."""
        mine = (BATCHES.c.number == number) & (BATCHES.c.worker == self._worker) & (BATCHES.c.state == "open")

        def begin(connection: Connection) -> bool:
            return bool(connection.execute(update(BATCHES).where(mine).values(submitted_at=now_text())).rowcount)

        if not with_retries(self._ledger, lambda: self._as_seen_alive(begin)):
            self._leave_to_others(self._in_batch[number])
            raise BatchTakenOverError(
                f"batch {number} was taken over or given up while its file was on its way up: it is not handed in"
            )

    def name_batch(self, number: int, reference: str) -> None:
        """Say what the endpoint calls a batch, or where it was put."""
        named = update(BATCHES).where(BATCHES.c.number == number).values(reference=reference)
        self._write(lambda connection: connection.execute(named))

    def adopt_batches(self, kind: str, *, endpoint: str | None = None) -> list[OpenBatch]:
        """Take over the open batches that nobody looks after; see `PurchaseBook.adopt_batches`."""
        return self._write(
            lambda connection: take_over_batches(
                self._ledger, connection, kind=kind, worker=self._worker, endpoint=endpoint
            )
        )

    def close_batch(self, number: int, *, sent: bool = True) -> None:
        """Say that nothing more will come of a batch; see `PurchaseBook.close_batch`."""
        self._write(lambda connection: end_batch(connection, number, sent=sent))

    def release(self) -> None:
        """Let go of what is in hand; to be called when nothing is sent any more.

        What is still in flight then has no outcome that anybody will see, and is named `lost`.
        """
        try:
            with self._ledger.writer.begin() as connection:
                mine = (REQUESTS.c.claimed_by == self._worker) & (REQUESTS.c.state == "pending")
                connection.execute(update(REQUESTS).where(mine).values(claimed_by=None))
                connection.execute(update(BATCHES).where(BATCHES.c.worker == self._worker).values(worker=None))
                in_flight = IN_FLIGHT & (ATTEMPTS.c.worker == self._worker)
                lost = {"outcome": "lost", "finished_at": now_text()}
                connection.execute(update(ATTEMPTS).where(in_flight).values(lost))
        except SQLAlchemyError as error:
            # All of this is so without being written, as soon as this purchase's lock is gone.
            _LOG.warning("the ledger is away at the end of a purchase: %s", error)

    def _write(self, action: Callable[[Connection], T]) -> T:
        def write() -> T:
            with self._ledger.writer.begin() as connection:
                return action(connection)

        return with_retries(self._ledger, write)

    def _as_seen_alive(self, claim: Callable[[Connection], T]) -> T:
        """Claim in a transaction at whose beginning others saw that this purchase is alive."""
        while True:
            with self._ledger.writer.begin() as connection:
                if self._alive.is_held(connection):
                    return claim(connection)
            self._show_alive()

    def _show_alive(self) -> None:
        with self._showing, self._ledger.engine.connect() as connection:
            if self._alive.is_held(connection):  # another thread was faster
                return
            _LOG.warning(
                "others could not see any more that purchase %d is alive (the session or the file of its lock was "
                "removed); it shows itself again and goes on with what nobody has taken over",
                self._worker,
            )
            self._alive.take()

    def _claim(self, sends: Sequence[Send], connection: Connection) -> set[str]:
        return claim_requests(
            self._ledger, connection, sends, provider=self._provider, run=self._run, worker=self._worker
        )

    def _granted(self, sends: Sequence[Send], claimed: set[str]) -> list[bool]:
        ids = [send.request.request_id for send in sends]
        with self._counting:
            self._refused = (self._refused | set(ids)) - claimed
        return [request_id in claimed for request_id in ids]

    def _leave_to_others(self, request_ids: Iterable[str]) -> None:
        with self._counting:
            self._refused.update(request_ids)

    def _report(self) -> None:
        note = f"${self.spent_usd:,.4f} spent" if self.spent_usd else ""
        # A witness is answered beyond what is asked for.
        self._progress(min(self._done, self._total), self._total, note)


def _in_order(sends: Sequence[Send]) -> list[Send]:
    """The same order for everybody, so that two purchases never wait for each other."""
    return sorted(sends, key=lambda send: send.request.request_id)


def _unusable_replies(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, list[UnusableReply]]:
    found: dict[str, list[UnusableReply]] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            unusable = ATTEMPTS.c.request_id.in_(some) & (ATTEMPTS.c.outcome == "unusable")
            statement = select(ATTEMPTS).where(unusable).order_by(ATTEMPTS.c.request_id, ATTEMPTS.c.number)
            for row in connection.execute(statement):
                reason, _, detail = row.error.partition(": ")
                found.setdefault(row.request_id, []).append(UnusableReply(row.raw_text, reason, detail))
    return found
