"""What a purchase has still to send, and in which order it goes."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from components.instructions.sender import OpenRequest


class RequestQueue:
    """Requests of one purchase: those that wait, and how many are taken.

    Args:
        group_size: requests that are sent together at most.
        all_others_are_through: told which requests are taken up for their last try.
    """

    def __init__(self, group_size: int, all_others_are_through: Callable[[Sequence[OpenRequest]], None]) -> None:
        self._group_size = group_size
        self._all_others_are_through = all_others_are_through
        self._first: deque[OpenRequest] = deque()
        self._again: deque[OpenRequest] = deque()
        self._last: list[OpenRequest] = []
        self.taken = 0  # neither waiting nor done with

    def add(self, asked: Iterable[OpenRequest]) -> None:
        """Let requests wait: those that were not sent yet, those that are to be sent again, those with a last try."""
        for one in asked:
            if one.last:
                self._last.append(one)  # until all others are through: that shows whose fault it was
            else:
                (self._first if one.kind == "first" else self._again).append(one)

    def take(self, filled: int) -> OpenRequest | None:
        """The next request of a group that has so many, all of them taken; None when there is none to be had now.

        What is to be sent again goes as soon as it fills a group up, so that a run that ends early leaves little of it,
        or when nothing that is left could fill the group.
        """
        if self._last and not (self._first or self._again or self.taken):
            self._all_others_are_through(self._last)
            self._again.extend(self._last)
            self._last.clear()
        fills = filled + len(self._again) >= self._group_size
        could_be_filled = self._first or (self.taken and not filled)
        queue = self._again if self._again and (fills or not could_be_filled) else self._first
        if not queue:
            return None
        self.taken += 1
        return queue.popleft()

    def put_back(self, asked: OpenRequest) -> None:
        """Let a request that was taken be the next."""
        self.taken -= 1
        (self._first if asked.kind == "first" else self._again).appendleft(asked)
