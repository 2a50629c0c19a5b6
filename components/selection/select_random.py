"""Picks images uniformly at random."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def select_random(
    sample_ids: Sequence[str], is_reference: NDArray[np.bool_], *, budget: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Pick uniformly at random outside the reference set: the baseline, and the filling of a shortfall.

    The draw depends on the set of ids, not on their order. To fill what profile `released` left unspent, as
    the authors do, mark the picked images as reference images too.

    Args:
        sample_ids: distinct ids, `n` of them.
        is_reference: `(n,)`, true for images that must not be picked.
        budget: images to pick, 0 to the images outside the reference set.
        rng: source of the draw.

    Returns:
        `(n,)`, true for picked images.

    Raises:
        ValueError: the lengths differ or there are too few images.
    """
    if len(sample_ids) != len(is_reference):
        raise ValueError(f"{len(sample_ids)} sample ids but {len(is_reference)} reference marks; give one per sample")
    free = sorted(np.flatnonzero(~is_reference).tolist(), key=lambda row: sample_ids[row])
    if not 0 <= budget <= len(free):
        raise ValueError(f"cannot pick {budget} images at random: {len(free)} are outside the reference set")
    picked = np.zeros(len(sample_ids), dtype=np.bool_)  # (n,)
    picked[rng.permutation(np.array(free, dtype=np.int64))[:budget]] = True
    return picked
