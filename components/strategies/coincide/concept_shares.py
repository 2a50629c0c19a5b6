"""How much of the budget each concept cluster gets: transferability, density, share (COINCIDE, Eq. 3-5)."""

import numpy as np
from numpy.typing import NDArray

from components.selection.vectors import normalise
from components.strategies.coincide.gaussian_kernel import CoincideProfile

_TOO_CLOSE = 0.9  # the released code takes clusters this close for one and the same
_ROWS = 512  # rows of the cosine matrix held at a time


def transferability(centroids: NDArray[np.floating], *, layers: int, profile: CoincideProfile) -> NDArray[np.float64]:
    """Mean cosine of every centroid to the others: how near the other clusters lie (Eq. 3).

    Args:
        centroids: `(K, layers * 2 * width)`, per layer the image half, then the text half.
        layers: number of layers.
        profile: `paper`: whole centroids, all others. `released`: text halves only, and pairs above 0.9 are left out,
            itself among them.

    Returns:
        `(K,)` float64, -1 to 1; higher: more of the budget. 0 for a centroid that has no other to compare with.

    Raises:
        ValueError: the centroids do not divide into so many layers of two halves.
    """
    count, width = centroids.shape
    if width % (2 * layers):
        raise ValueError(f"centroids have {width} numbers, which are not {layers} layers of two halves")
    if profile == "paper":
        unit = normalise(centroids, np.float64)  # (K, d)
        if count == 1:
            return np.zeros(1)
        others: NDArray[np.float64] = (unit @ unit.sum(axis=0) - 1) / (count - 1)
        return others
    text = centroids.reshape(count, layers, 2, -1)[:, :, 1].reshape(count, -1)  # (K, layers * width)
    unit = normalise(text, np.float64)
    means = np.zeros(count)  # (K,)
    for start in range(0, count, _ROWS):
        cosines = unit[start : start + _ROWS] @ unit.T  # (rows, K)
        kept = cosines <= _TOO_CLOSE
        means[start : start + _ROWS] = np.where(kept, cosines, 0).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    return means


def concept_density(kernel_sums: NDArray[np.float64], *, profile: CoincideProfile) -> float:
    """Mean Gaussian kernel between the members of a cluster: how much they repeat each other (Eq. 4).

    Args:
        kernel_sums: `(n,)` float64 of the cluster's members, at least one, as `kernel_row_sums` gives them for the
            profile's gamma.
        profile: `paper`: mean of exp(-|u - v|^2) over the pairs of different members. A cluster of one has no such
            pair; it gets 1, the kernel of its member with itself and the largest density there is, so that an outlier
            nothing is known of draws the smallest share. `released`: mean of exp(-|u - v|^2 / 2) over all pairs,
            every member with itself among them.

    Returns:
        Above 0, at most 1; lower: more varied, more of the budget.
    """
    count, total = len(kernel_sums), float(kernel_sums.sum())
    if profile == "released":
        return total / count**2
    return (total - count) / (count * (count - 1)) if count > 1 else 1.0


def concept_shares(
    transferability: NDArray[np.float64], density: NDArray[np.float64], *, temperature: float
) -> NDArray[np.float64]:
    """softmax(S / (tau D)) over the clusters (Eq. 5), with the largest exponent subtracted so that nothing overflows.

    Args:
        transferability: S, `(K,)`.
        density: D, `(K,)`, above 0.
        temperature: tau, above 0.

    Returns:
        `(K,)` float64, sums to 1.
    """
    exponents = transferability / (temperature * density)  # (K,)
    weights = np.exp(exponents - exponents.max())
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def allocation_order(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Clusters in the order in which they are served: by share descending, then by number."""
    return np.argsort(-shares, kind="stable")


def concept_quotas(
    shares: NDArray[np.float64], sizes: NDArray[np.int64], *, budget: int, profile: CoincideProfile
) -> NDArray[np.int64]:
    """Hand the budget out, from the largest share down.

    Each cluster takes its share, among those not yet served, of what is left, rounded half to even; one that is smaller
    is taken whole, and what it leaves goes to those after it.

    Args:
        shares: `(K,)`, summing to 1.
        sizes: `(K,)`, samples of each cluster.
        budget: samples to pick, 0 or above.
        profile: `released`: one pass, which may leave some of the budget unspent. `paper`: what is left is handed out
            again in the same way among the clusters that have samples left, until it is spent or the pool is.

    Returns:
        `(K,)` int64, samples to pick from each cluster.
    """
    quotas = np.zeros(len(shares), dtype=np.int64)  # (K,)
    left = min(budget, int(sizes.sum()))
    order = allocation_order(shares)
    while left:
        open_clusters = order[quotas[order] < sizes[order]]
        taken = _one_pass(shares[open_clusters], (sizes - quotas)[open_clusters], left)
        quotas[open_clusters] += taken
        left -= int(taken.sum())
        if profile == "released":
            break
    return quotas


def _one_pass(shares: NDArray[np.float64], sizes: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    taken = np.zeros(len(shares), dtype=np.int64)
    after = np.cumsum(shares[::-1])[::-1]  # share of this cluster and those after it
    left = budget
    for at, size in enumerate(sizes.tolist()):
        # Shares too small for a float are equal among themselves.
        among = float(shares[at] / after[at]) if after[at] > 0 else 1 / (len(sizes) - at)
        taken[at] = min(size, round(left * among))
        left -= int(taken[at])
    return taken
