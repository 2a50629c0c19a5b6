"""A purchase book that also counts: what is done, what was spent, what others have in hand."""

import threading
from collections.abc import Mapping, Sequence

from components.instructions.provider import Answer, Failure, OpenBatch, Outcome, PurchaseBook, Send, UnusableReply
from components.progress import NotedProgress


class CountedBook:
    """Counts what passes through a `PurchaseBook`, and reports progress with the cost so far.

    Args:
        book: that records.
        progress: told about requests.
        done: requests that had their outcome before.
        total: requests.
    """

    def __init__(self, book: PurchaseBook, progress: NotedProgress, *, done: int, total: int) -> None:
        self._book = book
        self._progress = progress
        self._done = done
        self._total = total
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self.spent_usd = 0.0
        progress(done, total)

    @property
    def run_spent_usd(self) -> float:
        """See `PurchaseBook`."""
        return self._book.run_spent_usd

    def announce(self, sends: Sequence[Send]) -> list[bool]:
        """See `PurchaseBook`."""
        granted = list(self._book.announce(sends))
        with self._lock:
            for send, may in zip(sends, granted, strict=True):
                (self._refused.discard if may else self._refused.add)(send.request.request_id)
        return granted

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """See `PurchaseBook`."""
        self._book.settle(outcomes)
        with self._lock:
            self.spent_usd += sum(outcome.price_usd for outcome in outcomes)
            self._done += sum(isinstance(outcome, Answer | Failure) for outcome in outcomes)
            if self.spent_usd:
                self._progress(self._done, self._total, f"${self.spent_usd:,.4f} spent")
            else:
                self._progress(self._done, self._total)

    def unusable_replies(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[UnusableReply]]:
        """See `PurchaseBook`."""
        return self._book.unusable_replies(request_ids)

    def open_batch(self, kind: str) -> int:
        """See `PurchaseBook`."""
        return self._book.open_batch(kind)

    def name_batch(self, number: int, reference: str) -> None:
        """See `PurchaseBook`."""
        self._book.name_batch(number, reference)

    def adopt_batches(self, kind: str) -> Sequence[OpenBatch]:
        """See `PurchaseBook`."""
        return self._book.adopt_batches(kind)

    def close_batch(self, number: int, *, sent: bool = True) -> None:
        """See `PurchaseBook`."""
        self._book.close_batch(number, sent=sent)

    def take_refused(self) -> set[str]:
        """Requests that could not be claimed since the last call, and were not claimed later."""
        with self._lock:
            refused, self._refused = self._refused, set()
        return refused
