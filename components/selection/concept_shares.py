"""How much of the budget each concept cluster gets (COINCIDE, Eq. 5)."""

import numpy as np
from numpy.typing import NDArray

from components.selection.gaussian_kernel import CoincideProfile


def concept_shares(
    transferability: NDArray[np.float64], density: NDArray[np.float64], *, temperature: float
) -> NDArray[np.float64]:
    """softmax(S / (tau D)) over the clusters, with the largest exponent subtracted so that nothing overflows.

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
