"""Spherical k-means over the whole pool (COINCIDE)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.selection.flat_index import lloyd, nearest

SAMPLES_PER_CONCEPT = 62  # 624,610 samples of LLaVA-665K / 10,000 clusters


ITERATIONS = 50  # of Lloyd's algorithm, as COINCIDE


@dataclass(frozen=True, slots=True, eq=False)
class SphericalClusters:
    """Clusters of directions, numbered by size descending; none is empty.

    Attributes:
        labels: `(n,)` int64, cluster of each vector.
        centroids: `(K, d)` float32, unit length.
        similarity: `(n,)` float32, cosine of each vector to its centroid, -1 to 1.
    """

    labels: NDArray[np.int64]
    centroids: NDArray[np.float32]
    similarity: NDArray[np.float32]


def concept_count(samples: int, clusters: int | Literal["auto"]) -> int:
    """K: as asked, at most one per sample; `auto`: one per 62 samples, at least one."""
    return max(1, samples // SAMPLES_PER_CONCEPT) if clusters == "auto" else min(clusters, samples)


def spherical_k_means(vectors: NDArray[np.float32], clusters: int, *, iterations: int, seed: int) -> SphericalClusters:
    """Cluster unit vectors by cosine.

    The result depends on the order of the rows (the first centroids are drawn by row), so give them sorted by id.

    Args:
        vectors: `(n, d)` float32, unit length.
        clusters: K, 1 to n. Fewer come back when some attract no vector.
        iterations: of Lloyd's algorithm.
        seed: of the first centroids.

    Returns:
        The clusters.

    Raises:
        ValueError: K is out of range or a vector is not finite.
    """
    count = len(vectors)
    if not 1 <= clusters <= count:
        raise ValueError(f"{clusters} clusters of {count} vectors; ask for 1 to {count}")
    if not np.isfinite(vectors).all():
        raise ValueError("a vector is not finite; leave its sample out")
    centroids = lloyd(vectors, clusters, iterations=iterations, start=seed, spherical=True)  # (K, d)
    similarity, found = nearest(vectors, centroids, 1, metric="inner product")  # (n, 1) each
    occupied, labels = np.unique(found[:, 0], return_inverse=True)
    order = np.argsort(-np.bincount(labels), kind="stable")  # by size descending
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    return SphericalClusters(
        labels=number[labels],
        centroids=centroids[occupied[order]],
        similarity=similarity[:, 0],
    )
