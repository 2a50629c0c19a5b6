"""A purchase book that also counts: what is done, what was spent, what others have in hand."""

import threading
from collections.abc import Iterable, Mapping, Sequence

from components.compute.progress import NotedProgress
from components.instructions.ledger.book import LedgerBook
from components.instructions.provider import (
    Answer,
    BatchTakenOverError,
    Failure,
    OpenBatch,
    Outcome,
    Send,
    UnusableReply,
)
from components.instructions.request import IdentifiedRequest
from components.pool.samples import Dropped


class CountedBook:
    """The `PurchaseBook` that a provider gets: counts what passes through it and reports progress with the cost so far.

    Attributes:
        spent_usd: dollars paid since it was made.
        left_out: request id -> why it could not be sent as things are.

    Args:
        book: that records.
        progress: told about requests.
        done: requests that had their outcome before.
        total: requests.
    """

    def __init__(self, book: LedgerBook, progress: NotedProgress, *, done: int, total: int) -> None:
        self._book = book
        self._progress = progress
        self._done = done
        self._total = total
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self._in_batch: dict[int, list[str]] = {}
        self.spent_usd = 0.0
        self.left_out: dict[str, Dropped] = {}
        progress(done, total)

    @property
    def run_spent_usd(self) -> float:
        """See `PurchaseBook`."""
        return self._book.run_spent_usd

    def announce(self, sends: Sequence[Send]) -> list[bool]:
        """See `PurchaseBook`."""
        return self._noted(sends, self._book.announce(sends))

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """See `PurchaseBook`."""
        try:
            self._book.settle(outcomes)
        except BatchTakenOverError:
            self._left_to_others(outcome.request_id for outcome in outcomes)
            raise
        with self._lock:
            self.spent_usd += sum(outcome.price_usd for outcome in outcomes)
            self._done += sum(isinstance(outcome, Answer | Failure) for outcome in outcomes)
            self._report()

    def leave_out(self, identified: IdentifiedRequest, *, reason: str, detail: str) -> None:
        """See `PurchaseBook`; the ledger learns nothing of it."""
        with self._lock:
            self.left_out[identified.request_id] = Dropped(identified.request.sample_id, reason, detail)
            self._done += 1
            self._report()

    def _report(self) -> None:
        if self.spent_usd:
            self._progress(self._done, self._total, f"${self.spent_usd:,.4f} spent")
        else:
            self._progress(self._done, self._total)

    def unusable_replies(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[UnusableReply]]:
        """See `PurchaseBook`."""
        return self._book.unusable_replies(request_ids)

    def announce_batch(self, kind: str, sends: Sequence[Send], *, endpoint: str) -> tuple[int, list[bool]]:
        """See `PurchaseBook`."""
        number, granted = self._book.announce_batch(kind, sends, endpoint=endpoint)
        may = self._noted(sends, granted)
        self._in_batch[number] = [send.request.request_id for send, sent in zip(sends, may, strict=True) if sent]
        return number, may

    def submit_batch(self, number: int) -> None:
        """See `PurchaseBook`."""
        try:
            self._book.submit_batch(number)
        except BatchTakenOverError:
            self._left_to_others(self._in_batch[number])
            raise

    def name_batch(self, number: int, reference: str) -> None:
        """See `PurchaseBook`."""
        self._book.name_batch(number, reference)

    def adopt_batches(self, kind: str, *, endpoint: str | None = None) -> Sequence[OpenBatch]:
        """See `PurchaseBook`."""
        return self._book.adopt_batches(kind, endpoint=endpoint)

    def close_batch(self, number: int, *, sent: bool = True) -> None:
        """See `PurchaseBook`."""
        self._book.close_batch(number, sent=sent)

    def take_refused(self) -> set[str]:
        """Requests that could not be claimed, or were taken over, since the last call, and were not claimed later."""
        with self._lock:
            refused, self._refused = self._refused, set()
        return refused

    def _left_to_others(self, request_ids: Iterable[str]) -> None:
        with self._lock:
            self._refused.update(request_ids)

    def _noted(self, sends: Sequence[Send], granted: Sequence[bool]) -> list[bool]:
        with self._lock:
            for send, may in zip(sends, granted, strict=True):
                (self._refused.discard if may else self._refused.add)(send.request.request_id)
        return list(granted)
