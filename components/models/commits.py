"""Joining small batches into the few large ones that are written durably."""

import time
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

SECONDS_BETWEEN_COMMITS = 1.0
SHARE_BETWEEN_COMMITS = 0.05  # of the time so far: few fragments in a long run, little to lose in a killed one
ROWS_PER_COMMIT = 65_536  # at most, and
BYTES_PER_COMMIT = 2**29  # at most; they bound memory

Batch = tuple[list[str], tuple[NDArray[np.floating], ...]]  # ids, arrays with as many rows


def gather_commits(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Join batches until it is time to write them.

    Args:
        batches: ids with their arrays, each `(n, ...)`.

    Yields:
        Larger batches of the same rows in the same order.
    """
    began = last = time.monotonic()
    ids: list[str] = []
    parts: list[tuple[NDArray[np.floating], ...]] = []
    size = 0
    for batch_ids, arrays in batches:
        ids.extend(batch_ids)
        parts.append(arrays)
        size += sum(array.nbytes for array in arrays)
        now = time.monotonic()
        due = max(SECONDS_BETWEEN_COMMITS, SHARE_BETWEEN_COMMITS * (now - began))
        if ids and (now - last >= due or len(ids) >= ROWS_PER_COMMIT or size >= BYTES_PER_COMMIT):
            yield ids, _joined(parts)
            ids, parts, size, last = [], [], 0, now
    if ids:
        yield ids, _joined(parts)


def _joined(parts: list[tuple[NDArray[np.floating], ...]]) -> tuple[NDArray[np.floating], ...]:
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
