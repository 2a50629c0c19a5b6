"""Centroids of a task that is too large to be clustered at once: of its parts, each by itself."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from components.selection.centroids import nearest_centroids
from components.selection.cluster_exchange import k_means_by_exchange, update_centroids

# k-means of n vectors takes O(n^2 d) when the clusters grow with n; in parts it takes O(n d) times the size of a part.
LARGE = 200_000  # vectors above which a task is cut into parts: at that size parts save more time than they add inertia
PART = 20_000  # vectors of a part, on average
_JOINT_ROUNDS = 2  # over all parts: each takes an assignment of all vectors to all centroids, O(n k d)


def centroids_by_parts(
    points: NDArray[np.float32], cluster_count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Centroids of vectors however many: at once up to 200,000, of parts of about 20,000 beyond.

    The parts are the cells of a coarse k-means, so that what belongs together stays together as far as that goes; each
    gets clusters in proportion to its vectors. A few rounds over all parts then mend what the borders between them cut
    and what the proportions misjudged: a vector belongs to the nearest of all centroids, and clusters are exchanged
    between parts.

    Args:
        points: `(n, d)` float32 unit vectors.
        cluster_count: k, 1 to n.
        rng: source of the draws.

    Returns:
        `(k, d)` float32. A centroid may have no vectors only where there are fewer than k distinct ones.
    """
    if len(points) <= LARGE:
        return k_means_by_exchange(points, cluster_count, rng)
    part_of = _parts(points, rng)  # (n,)
    sizes = np.bincount(part_of)  # (p,)
    # One part although several were asked for: copies of one vector, which cannot be cut.
    if len(sizes) == 1:
        return k_means_by_exchange(points, cluster_count, rng)
    counts = in_proportion(cluster_count, sizes)  # (p,)
    found = [
        centroids_by_parts(points[part_of == part], count, rng) for part, count in enumerate(counts.tolist()) if count
    ]
    centroids = np.concatenate(found)  # (k, d)
    for _ in range(_JOINT_ROUNDS if cluster_count > 1 else 0):
        distances, labels = nearest_centroids(points, centroids, 2)  # (n, 2), (n, 2)
        centroids = update_centroids(points, centroids, distances, labels, rng, exchanging=True)
    return centroids


def in_proportion(total: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide a total in proportion to sizes that sum to at least it, by the largest remainders (ties: the first)."""
    exact = sizes * (total / sizes.sum())  # (p,)
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64)  # (p,)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


def _parts(points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """The part of each vector `(n,)`, numbered from 0 without gaps."""
    count = ceil(len(points) / PART)
    sample = points[rng.permutation(len(points))[:LARGE]]  # (s, d)
    coarse = k_means_by_exchange(sample, count, rng)  # (p, d)
    labels = nearest_centroids(points, coarse, 1)[1][:, 0]  # (n,)
    parts: NDArray[np.int64] = np.unique(labels, return_inverse=True)[1]
    return parts
