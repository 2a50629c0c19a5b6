"""The draw within a task: without replacement, the more influential the likelier (TIVE)."""

import numpy as np
from numpy.typing import NDArray


def sampling_probabilities(influence: NDArray[np.float64], *, q: float) -> NDArray[np.float64]:
    """Probability of every sample of a task to be drawn first, softmax(q * influence).

    Args:
        influence: `(n,)` float64, -1 to 1.
        q: 0 or above; 0 is uniform. At the released 0.001 the probabilities differ by at most 0.2 %.

    Returns:
        `(n,)` float64, sums to 1.
    """
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
