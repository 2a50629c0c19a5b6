"""The draw within a task: without replacement, the more influential the likelier (TIVE)."""

import numpy as np
from numpy.typing import NDArray

_LARGEST_EXPONENT = 650  # exp(-650) over a sum of millions is a float64 that one can still divide by


def sampling_probabilities(influence: NDArray[np.float64], *, q: float) -> NDArray[np.float64]:
    """Probability of every sample of a task to be drawn first, softmax(q * influence).

    Args:
        influence: `(n,)` float64, -1 to 1.
        q: 0 or above; 0 is uniform. At the released 0.001 the probabilities differ by at most 0.2 %.

    Returns:
        `(n,)` float64, above 0, sums to 1.

    Raises:
        ValueError: `q` or an influence is out of range, or `q` so large that a probability would be 0 in float64.
    """
    if not (np.isfinite(q) and q >= 0):
        raise ValueError(f"q is {q}; it must be a finite number, 0 (every sample alike) or above, e.g. 0.001")
    unusable = np.flatnonzero(~np.isfinite(influence))
    if unusable.size or not influence.size:
        what = f"row {int(unusable[0])} is {influence[unusable[0]]}" if unusable.size else "a task has no row"
        raise ValueError(f"influence of {what}; give one finite number per sample, at least one")
    spread = float(influence.max() - influence.min())
    if q * spread > _LARGEST_EXPONENT:
        raise ValueError(
            f"q is {q}: the least influential samples would have probability 0; "
            f"where influences are {spread:.3g} apart it may be at most {_LARGEST_EXPONENT / spread:.0f}"
        )
    weights = np.exp(q * (influence - influence.max()))  # (n,); the maximum subtracted, so that nothing overflows
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


def distance_from_uniform(probabilities: NDArray[np.float64]) -> float:
    """Total variation distance to the uniform distribution, 0 (the draw is uniform) to 1."""
    return float(np.abs(probabilities - 1 / len(probabilities)).sum() / 2)


def draw_copies(probabilities: NDArray[np.float64], quota: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a task's quota without replacement; a quota above the task repeats all of it, as the released code does.

    Exponential races: the samples with the smallest Exp(1) / p are those that drawing one after the other, each time
    in proportion to what is left, gives. The order of the rows decides which draw belongs to which, so give them
    sorted by sample id.

    Args:
        probabilities: `(n,)` float64, above 0.
        quota: samples to train on, 0 or above.
        rng: source of the draw.

    Returns:
        `(n,)` int64, how often each sample is trained on; sums to `quota`.
    """
    whole, rest = divmod(quota, len(probabilities))
    copies = np.full(len(probabilities), whole, dtype=np.int64)  # (n,)
    keys = rng.exponential(size=len(probabilities)) / probabilities  # (n,)
    copies[np.argsort(keys, kind="stable")[:rest]] += 1
    return copies
