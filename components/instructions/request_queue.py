"""What a purchase has still to send, and in which order it goes."""

from collections import deque
from collections.abc import Iterable

from components.instructions.purchase_signals import PurchaseSignals
from components.instructions.sender import OpenRequest


class RequestQueue:
    """Requests of one purchase: those that wait, and how many are taken.

    Attributes:
        taken: how many neither wait nor are done with.
        last: those that are sent once more, when all others are through.

    While something that has failed is not through, one that was never sent waits: answered after it, it shows, for
    nothing, whose fault that was.

    Args:
        group_size: requests that are sent together at most.
        signals: told whenever there is something else to take.
        one_waits: whether one waits for what has failed.
    """

    def __init__(self, group_size: int, signals: PurchaseSignals, *, one_waits: bool) -> None:
        self._group_size = group_size
        self._signals = signals
        self._one_waits = one_waits
        self._some_failed = False
        self._first: deque[OpenRequest] = deque()
        self._again: deque[OpenRequest] = deque()
        self.last: list[OpenRequest] = []
        self.taken = 0

    def add(self, asked: Iterable[OpenRequest]) -> None:
        """Let requests wait: those that were not sent yet, those that are to be sent again, those with a last try."""
        for one in asked:
            self._some_failed |= one.failures > 0
            if one.last:
                self.last.append(one)
            else:
                (self._first if one.kind == "first" else self._again).append(one)
        self._signals.notify()

    def let_last_go(self) -> None:
        """Let those go that waited until all others are through."""
        self._again.extend(self.last)
        self.last.clear()

    def take(self, filled: int) -> OpenRequest | None:
        """The next request of a group that has so many, all of them taken; None when there is none to be had now.

        What is to be sent again goes as soon as it fills a group up, so that a run that ends early leaves little of it,
        or when nothing that is left could fill the group.
        """
        fills = filled + len(self._again) >= self._group_size
        not_through = self.taken or self._again or self.last
        waits = self._one_waits and self._some_failed and len(self._first) == 1 and not_through
        could_be_filled = (self._first and not waits) or (self.taken and not filled)
        queue = self._again if self._again and (fills or not could_be_filled) else self._first
        if not queue or (waits and queue is self._first):
            return None
        self.taken += 1
        return queue.popleft()

    def put_back(self, asked: OpenRequest) -> None:
        """Let a request that was taken be the next."""
        (self._first if asked.kind == "first" else self._again).appendleft(asked)
        self.done_with(1)

    def done_with(self, count: int) -> None:
        """Note that so many that were taken are taken no more."""
        self.taken -= count
        self._signals.notify()
