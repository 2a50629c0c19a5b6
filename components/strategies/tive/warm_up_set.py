"""TIVE's warm-up set: the samples that its reference model is tuned on (arXiv 2403.09559, section 4.1)."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import floor

import numpy as np
from numpy.typing import NDArray

from components.selection.allocation_rounding import even_quotas
from components.selection.reference_set import reference_order


def choose_warm_up_set(
    sample_ids: Sequence[str], tasks: Sequence[str], *, share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose a share of the pool, the same number from every task, those with the smallest hash of seed and id.

    Args:
        sample_ids: distinct ids, `n` of them.
        tasks: the task of each sample, `n` of them.
        share: of the pool, in (0, 1); taken as the decimal it prints as.
        seed: any integer.

    Returns:
        `(n,)`, true for the members: `floor(share * n)` of them, at least one of every task. A task that is smaller
        than its part gives all it has, and the others share the rest.

    Raises:
        ValueError: the lengths differ, an id occurs twice, `share` is out of range, or there is no sample.
    """
    if len(sample_ids) != len(tasks):
        raise ValueError(f"{len(sample_ids)} sample ids but {len(tasks)} tasks; give one task per sample")
    if not 0 < share < 1:
        raise ValueError(f"share of the warm-up set is {share}; it must lie between 0 and 1, e.g. 0.08")
    if not sample_ids:
        raise ValueError("there is no sample with an instruction to choose the warm-up set from")
    sizes = Counter(tasks)
    left = even_quotas(sizes, max(len(sizes), floor(Fraction(repr(float(share))) * len(sample_ids))))
    row_of = {sample_id: row for row, sample_id in enumerate(sample_ids)}
    members = np.zeros(len(sample_ids), dtype=np.bool_)  # (n,)
    for sample_id in reference_order(sample_ids, seed=seed):
        row = row_of[sample_id]
        if left[tasks[row]]:
            left[tasks[row]] -= 1
            members[row] = True
    return members
