"""k-means over the image vectors of one task, in faiss (section 4.1 of PreSel)."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.selection.centroids import distances_to, nearest_centroids
from components.selection.cluster_parts import centroids_by_parts
from components.selection.cluster_seeding import choose_seeds
from components.selection.cluster_swaps import propose_swap
from components.selection.flat_index import blas_on_one_thread, lloyd
from components.selection.vectors import normalise

_LOGGER = logging.getLogger(__name__)

# Up to so many clusters several starts with swaps are affordable, and worth it; for more, exchanges reach the same
# inertia in a fraction of the time (bench/k_means.py).
FEW = 100
# Lloyd iterations of the final refinement at most: it stops by itself when nothing changes any more.
ITERATIONS = 100
RESTARTS = 4  # seeded starts, of which the lowest inertia wins; bench/k_means.py has what more of them would bring
_FIRST_ITERATIONS = 10  # Lloyd iterations before the first swap
_SWAPS = 20  # swaps tried per start at most
_PATIENCE = 5  # swaps without a gain after which a start is given up
_GAIN = 1e-5  # relative decrease of the inertia that counts as one
_STARTS_TIMES_CLUSTERS = 64  # few clusters get more starts: one misplaced centroid costs most there, a start least


@dataclass(frozen=True, slots=True, eq=False)
class ClusterResult:
    """Clusters numbered from 0 by size descending, then by centroid.

    Attributes:
        labels: `(n,)` int64, the nearest centroid of each sample.
        centroids: `(C, d)` float32, means of unit vectors (not unit length themselves); no cluster is empty.
        inertia: sum of squared Euclidean distances of the unit vectors to their centroids; lower is tighter.
        distances: `(n,)` float32 Euclidean distance of each unit vector to its centroid, 0 to 2.
    """

    labels: NDArray[np.int64]
    centroids: NDArray[np.float32]
    inertia: float
    distances: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    centroids: NDArray[np.float32]  # (k, d)
    distances: NDArray[np.float32]  # (n, 2), squared, to the two nearest centroids
    labels: NDArray[np.int64]  # (n, 2)
    inertia: float


def cluster_count(n: int, *, images_per_cluster: int) -> int:
    """C = max(1, floor(|T| / images_per_cluster)), over all `n` images of a task."""
    if n < 1 or images_per_cluster < 1:
        raise ValueError(f"got {n} images and {images_per_cluster} images per cluster; both must be at least 1")
    return max(1, n // images_per_cluster)


@blas_on_one_thread()
def k_means(
    vectors: NDArray[np.float32],
    cluster_count: int,
    *,
    seed: int,
    iterations: int = ITERATIONS,
    restarts: int = RESTARTS,
) -> ClusterResult:
    """Cluster L2-normalised vectors by k-means.

    Up to 100 clusters, every start is seeded by greedy k-means++ and improved by swaps of single centroids, and the
    start with the lowest inertia is refined to the end. More clusters get one start with exchanges of many centroids at
    once, and more than 200,000 vectors are cut into parts first (`centroids_by_parts`). All vectors take part (faiss by
    itself would take 256 per centroid). Memory is O(n d). The result is the same for equal vectors in equal order, seed
    and library versions, on any number of cores.

    Args:
        vectors: `(n, d)`, finite and not zero; converted to float32.
        cluster_count: C, 1 to n.
        seed: non-negative integer.
        iterations: up to 100 clusters: Lloyd iterations of the final refinement at most.
        restarts: up to 100 clusters: independent starts, at least 1; fewer than 64 / C are raised to that.

    Returns:
        The clusters; fewer than `cluster_count` when there are fewer distinct vectors
        (vectors closer than 0.001 do not count as distinct).

    Raises:
        ValueError: an argument is out of range or a vector cannot be normalised.
    """
    points = normalise(vectors, np.float32)  # (n, d)
    if not 1 <= cluster_count <= len(points):
        raise ValueError(f"cluster_count is {cluster_count}; allowed: 1 to the number of vectors, {len(points)}")
    if iterations < 1 or restarts < 1:
        raise ValueError(f"iterations is {iterations} and restarts is {restarts}; both must be at least 1")
    rng = np.random.default_rng(seed)
    if cluster_count > FEW:
        centroids = centroids_by_parts(points, cluster_count, rng)  # (k, d)
        labels = nearest_centroids(points, centroids, 1)[1]  # (n, 1)
    else:
        fit = _best_of_starts(points, cluster_count, rng, iterations, restarts)
        centroids, labels = fit.centroids, fit.labels  # (k, d), (n, 2)
    result = _canonical(points, centroids, labels[:, 0])
    if len(result.centroids) < cluster_count:
        _LOGGER.info("%d clusters instead of %d: no more distinct vectors", len(result.centroids), cluster_count)
    return result


def assign_to_centroids(
    vectors: NDArray[np.float32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Assign vectors, new ones for example, to the centroids of an earlier k-means.

    Args:
        vectors: `(n, d)`, finite and not zero; L2-normalised here.
        centroids: `(C, d)` float32, as `k_means` returned them.

    Returns:
        `(n,)` int64 nearest centroid and `(n,)` float32 Euclidean distance to it.

    Raises:
        ValueError: the dimensions differ or a vector cannot be normalised.
    """
    points = normalise(vectors, np.float32)  # (n, d)
    if centroids.ndim != 2 or centroids.shape[1] != points.shape[1]:
        raise ValueError(f"vectors have shape {points.shape}, centroids {centroids.shape}; the dimensions must agree")
    labels = nearest_centroids(points, centroids, 1)[1][:, 0]  # (n,)
    return labels, distances_to(points, centroids, labels)


def _best_of_starts(
    points: NDArray[np.float32], cluster_count: int, rng: np.random.Generator, iterations: int, restarts: int
) -> _Fit:
    count = max(restarts, _STARTS_TIMES_CLUSTERS // cluster_count) if cluster_count > 1 else 1
    starts = (_start(points, cluster_count, stream) for stream in rng.spawn(count))
    best = min(starts, key=lambda start: start.inertia)
    refined = _refine(points, best.centroids, iterations)
    return min(best, refined, key=lambda fit: fit.inertia)


def _start(points: NDArray[np.float32], cluster_count: int, rng: np.random.Generator) -> _Fit:
    """Seed, run Lloyd's iterations, then swap single centroids as long as that pays."""
    seeds = choose_seeds(points, cluster_count, rng)  # (k,)
    best = _refine(points, points[seeds], _FIRST_ITERATIONS)
    in_vain = 0
    for _ in range(_SWAPS if len(seeds) > 1 else 0):
        swapped = propose_swap(points, best.centroids, best.distances, best.labels, rng)
        fit = _refine(points, swapped, 1)
        if fit.inertia < best.inertia * (1 - _GAIN):
            best, in_vain = fit, 0
        else:
            in_vain += 1
            if in_vain == _PATIENCE:
                break
    return best


def _refine(points: NDArray[np.float32], centroids: NDArray[np.float32], iterations: int) -> _Fit:
    """Run Lloyd's iterations from the given centroids."""
    refined = lloyd(points, len(centroids), iterations=iterations, start=centroids)  # (k, d)
    distances, labels = nearest_centroids(points, refined, min(2, len(refined)))  # (n, 2), (n, 2)
    return _Fit(refined, distances, labels, float(np.maximum(distances[:, 0], 0).sum(dtype=np.float64)))


def _canonical(points: NDArray[np.float32], centroids: NDArray[np.float32], labels: NDArray[np.int64]) -> ClusterResult:
    """Number the clusters so that their order says nothing about the random start; drop empty ones."""
    sizes = np.bincount(labels, minlength=len(centroids))  # (k,)
    order = np.lexsort((*centroids.T[::-1], -sizes))  # (k,)
    order = order[sizes[order] > 0]  # (C,)
    number = np.empty(len(sizes), dtype=np.int64)  # (k,)
    number[order] = np.arange(len(order))
    centroids = centroids[order]  # (C, d)
    labels = number[labels]  # (n,)
    distances = distances_to(points, centroids, labels)  # (n,)
    return ClusterResult(labels, centroids, float(np.sum(distances.astype(np.float64) ** 2)), distances)
