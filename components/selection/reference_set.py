"""PreSel's reference set: the share of every task that is annotated first (section 4.1 of the paper)."""

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from fractions import Fraction
from hashlib import blake2b
from math import ceil

import numpy as np
from numpy.typing import NDArray


def choose_reference_set(
    sample_ids: Sequence[str], tasks: Sequence[str], *, share: float, seed: int, members: Set[str] = frozenset()
) -> NDArray[np.bool_]:
    """Choose `ceil(share * |task|)` samples of every task, those with the smallest hash of seed and id.

    A hash needs no random state: the choice does not depend on the order of the samples, and when a task
    grows, its earlier samples keep their relative order. Members of an earlier reference set stay, also where they
    are more than the share asks for; others join them in the order of the hash.

    Args:
        sample_ids: distinct ids, `n` of them.
        tasks: the task of each sample, `n` of them.
        share: of every task, in (0, 1); taken as the decimal it prints as: 0.07 of 100 is 7, not 8.
        seed: any integer.
        members: ids of an earlier reference set; those that are no longer in the pool are ignored.

    Returns:
        `(n,)`, true for the members.

    Raises:
        ValueError: the lengths differ, an id occurs twice, or `share` is out of range.
    """
    if len(sample_ids) != len(tasks):
        raise ValueError(f"{len(sample_ids)} sample ids but {len(tasks)} tasks; give one task per sample")
    if not 0 < share < 1:
        raise ValueError(f"share of the reference set is {share}; it must lie between 0 and 1, e.g. 0.05")
    rows_of_task: defaultdict[str, list[int]] = defaultdict(list)
    for row, task in enumerate(tasks):
        rows_of_task[task].append(row)
    chosen = np.zeros(len(sample_ids), dtype=np.bool_)  # (n,)
    place = {sample_id: at for at, sample_id in enumerate(reference_order(sample_ids, seed=seed))}
    for rows in rows_of_task.values():
        staying = [row for row in rows if sample_ids[row] in members]
        others = sorted((row for row in rows if sample_ids[row] not in members), key=lambda row: place[sample_ids[row]])
        count = ceil(Fraction(repr(float(share))) * len(rows))
        chosen[staying + others[: max(0, count - len(staying))]] = True
    return chosen


def reference_order(sample_ids: Sequence[str], *, seed: int) -> list[str]:
    """Sort sample ids as the reference set takes them: by 128-bit hash of seed and id.

    Args:
        sample_ids: distinct ids.
        seed: any integer.

    Returns:
        The ids, first to be chosen first.

    Raises:
        ValueError: an id occurs twice.
    """
    keys = {sample_id: blake2b(f"{seed}\n{sample_id}".encode(), digest_size=16).digest() for sample_id in sample_ids}
    if len(keys) != len(sample_ids):
        twice = next(sample_id for sample_id, count in Counter(sample_ids).items() if count > 1)
        raise ValueError(f"sample id {twice!r} occurs more than once; merge its records into one sample")
    return sorted(keys, key=lambda sample_id: (keys[sample_id], sample_id))
