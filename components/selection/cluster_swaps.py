"""The swap that frees k-means from a poor local minimum: one centroid leaves, another enters elsewhere."""

import numpy as np
from numpy.typing import NDArray

from components.selection.cluster_seeding import draw_rows, squared_distances

_CANDIDATES = 16


def propose_swap(
    points: NDArray[np.float32],
    centroids: NDArray[np.float32],
    distances: NDArray[np.float32],
    labels: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Move the centroid that is missed least to where one is missed most.

    Candidates are drawn like k-means++ seeds (the local search of Lattanzi and Sohler 2019) and moved to the
    mean of the points that they would take over; a bare point looks worse than it is in many dimensions.

    Args:
        points: `(n, d)` float32 unit vectors.
        centroids: `(k, d)` float32, k at least 2.
        distances: `(n, 2)` float32 squared distances to the nearest and the second nearest centroid.
        labels: `(n, 2)` those two centroids.
        rng: source of the draws.

    Returns:
        `(k, d)` float32 centroids with the one change whose inertia, before any refinement, is the lowest;
        it may be above the inertia that there was. Unchanged when every point lies on a centroid.
    """
    nearest, second = np.maximum(distances, 0).T  # (n,), (n,)
    cumulative = np.cumsum(nearest, dtype=np.float64)  # (n,)
    if cumulative[-1] == 0:
        return centroids
    drawn = np.unique(draw_rows(cumulative, _CANDIDATES, rng))  # (m,)
    takes = squared_distances(points[drawn], points) < nearest  # (m, n)
    takes[np.arange(len(drawn)), drawn] = True
    entering = (takes.astype(np.float32) @ points) / takes.sum(axis=1, keepdims=True, dtype=np.float32)  # (m, d)
    to_entering = squared_distances(entering, points)  # (m, n)

    best_inertia, best_candidate, best_leaving = np.inf, 0, 0
    for candidate, to_candidate in enumerate(to_entering):
        kept = np.minimum(nearest, to_candidate)  # (n,)
        # What each centroid's points lose when it leaves and they go to the candidate or the second nearest.
        loss = np.bincount(
            labels[:, 0], weights=np.minimum(second, to_candidate) - kept, minlength=len(centroids)
        )  # (k,)
        leaving = int(np.argmin(loss))
        inertia = kept.sum(dtype=np.float64) + loss[leaving]
        if inertia < best_inertia:
            best_inertia, best_candidate, best_leaving = inertia, candidate, leaving
    swapped = centroids.copy()
    swapped[best_leaving] = entering[best_candidate]
    return swapped
