"""A purchase book for an event loop: many sends in flight share one durable write.

A durable write takes a disk milliseconds, whatever is in it. One thread takes all that has come up while it wrote and
writes it together, so a thousand requests in flight need no more writes than one.
"""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

from components.instructions.ledger.patience import LedgerAwayError
from components.instructions.provider import Outcome, PurchaseBook, Send
from components.instructions.request import IdentifiedRequest

_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class _Entry:
    value: Send | Outcome
    written: "Future[bool]"


class GroupedBook:
    """Writes into a `PurchaseBook` from one thread of its own. Open with `grouped`."""

    def __init__(self, book: PurchaseBook) -> None:
        self._book = book
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        # In the caller's context: who listens to progress there is told from this thread.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._write_all,), name="ledger", daemon=True)

    async def announce(self, send: Send) -> bool:
        """Announce one send; returns, once that is durable, whether it may be sent."""
        return await self._put(send)

    async def settle(self, outcome: Outcome) -> None:
        """Settle one send; returns once that is durable. It is written also when nobody waits for it any more."""
        await self._put(outcome)

    def leave_out(self, identified: IdentifiedRequest, *, reason: str, detail: str) -> None:
        """See `PurchaseBook`; nothing is written."""
        self._book.leave_out(identified, reason=reason, detail=detail)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """End when everything is written."""
        self._waiting.put(None)
        self._thread.join()

    async def _put(self, value: Send | Outcome) -> bool:
        written: Future[bool] = Future()
        self._waiting.put(_Entry(value, written))
        return await asyncio.wrap_future(written)

    def _write_all(self) -> None:
        ended = False
        while not ended:
            group = [self._waiting.get()]
            while len(group) < _MOST_AT_ONCE and not self._waiting.empty():
                group.append(self._waiting.get())
            ended = None in group
            entries = [entry for entry in group if entry is not None]
            # A purchase that is interrupted waits no more: what it would have sent is not announced, and what it has
            # received is settled all the same.
            waited_for = [entry for entry in entries if entry.written.set_running_or_notify_cancel()]
            self._write([one for one in entries if not isinstance(one.value, Send)], self._settle)
            self._write([one for one in waited_for if isinstance(one.value, Send)], self._announce)

    def _write(self, entries: Sequence[_Entry], write: Callable[[Sequence[_Entry]], Sequence[bool]]) -> None:
        if not entries:
            return
        try:
            results = write(entries)
        except Exception as error:  # noqa: BLE001 -- handed to those who wait for it, whatever it is
            # One that cannot be settled keeps no other from it. When the ledger is away, all are kept beside it.
            if len(entries) > 1 and write == self._settle and not isinstance(error, LedgerAwayError):
                for entry in entries:
                    self._write([entry], write)
                return
            for entry in entries:
                if entry.written.running():
                    entry.written.set_exception(error)
            return
        for entry, result in zip(entries, results, strict=True):
            if entry.written.running():
                entry.written.set_result(result)

    def _announce(self, entries: Sequence[_Entry]) -> Sequence[bool]:
        return self._book.announce([entry.value for entry in entries if isinstance(entry.value, Send)])

    def _settle(self, entries: Sequence[_Entry]) -> Sequence[bool]:
        self._book.settle([entry.value for entry in entries if not isinstance(entry.value, Send)])
        return [True] * len(entries)


@contextmanager
def grouped(book: PurchaseBook) -> Iterator[GroupedBook]:
    """Write into a book from one thread, for the length of the block."""
    writer = GroupedBook(book)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()
