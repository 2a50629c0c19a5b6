"""Centroids and the vectors nearest to them."""

import numpy as np
from numpy.typing import NDArray

from components.selection.flat_index import nearest

_BLOCK_ROWS = 2**15  # rows whose differences are held at a time


def nearest_centroids(
    points: NDArray[np.float32], centroids: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `count` nearest of the centroids `(k, d)` to each of the points `(n, d)`.

    Returns:
        `(n, count)` float32 squared Euclidean distances, nearest first, and the `(n, count)` int64 centroids.
    """
    return nearest(points, centroids, count, metric="squared distance")


def distances_to(
    points: NDArray[np.float32], centroids: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Euclidean distance `(n,)` float32 of each of the points `(n, d)` to the centroid that its label names."""
    lengths = np.empty(len(points), dtype=np.float32)  # (n,)
    for start in range(0, len(points), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        # Differences, not the expanded square: exact also where a point lies on its centroid.
        differences = points[block] - centroids[labels[block]]  # (block, d)
        lengths[block] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return lengths
