"""Density of a cluster: how much its members repeat each other (COINCIDE, Eq. 4)."""

import numpy as np
from numpy.typing import NDArray

from components.selection.gaussian_kernel import GAMMA, CoincideProfile, kernel_row_sums


def concept_density(vectors: NDArray[np.float64], *, profile: CoincideProfile) -> float:
    """Mean Gaussian kernel between the members of a cluster.

    Args:
        vectors: `(n, d)` float64, the cluster's unit vectors, at least one.
        profile: `paper`: mean of exp(-|u - v|^2) over the pairs of different members. A cluster of one has no such
            pair; it gets 1, the kernel of its member with itself and the largest density there is, so that an outlier
            nothing is known of draws the smallest share. `released`: mean of exp(-|u - v|^2 / 2) over all pairs,
            every member with itself among them.

    Returns:
        Above 0, at most 1; lower: more varied, more of the budget.
    """
    count = len(vectors)
    total = float(kernel_row_sums(vectors, gamma=GAMMA[profile]).sum())
    if profile == "released":
        return total / count**2
    return (total - count) / (count * (count - 1)) if count > 1 else 1.0
