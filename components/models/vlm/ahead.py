"""Preparing the next batches on the CPU while the model computes on the present one."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")

_AHEAD = 2  # batches held at a time, so that memory stays bounded


def prepare_ahead(items: Sequence[Item], prepare: Callable[[Item], Prepared]) -> Iterator[Prepared]:
    """Apply a function in a background thread, a little ahead of whoever takes the results.

    One thread only: tokenizers are not safe to use from several.

    Args:
        items: what to prepare, in order.
        prepare: called with each item.

    Yields:
        The results, in order.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: deque[Future[Prepared]] = deque()
        for item in items:
            pending.append(pool.submit(prepare, item))
            if len(pending) > _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
