"""Greedy k-means++ seeding."""

from math import log

import numpy as np
from numpy.typing import NDArray

# Squared distances of unit vectors come out of a float32 matrix product with errors of this order;
# points closer than that (0.001 in Euclidean distance) count as one.
_SQUARED_RESOLUTION = 1e-6


def choose_seeds(points: NDArray[np.float32], cluster_count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the points from which k-means starts.

    Each seed is the best of `2 + floor(ln k)` points drawn with probability proportional to the squared
    distance to the nearest seed so far (Arthur and Vassilvitskii 2007, greedy variant).

    Args:
        points: `(n, d)` float32 unit vectors.
        cluster_count: seeds wanted, 1 to n.
        rng: source of the draws.

    Returns:
        `(k,)` row numbers; fewer than `cluster_count` when the points have fewer distinct positions.
    """
    trials = 2 + int(log(cluster_count))
    seeds = [int(rng.integers(len(points)))]
    nearest = squared_distances(points[seeds], points)[0]  # (n,)
    while len(seeds) < cluster_count:
        cumulative = np.cumsum(nearest, dtype=np.float64)  # (n,)
        if cumulative[-1] == 0:
            break
        candidates = draw_rows(cumulative, trials, rng)  # (trials,)
        reduced = np.minimum(nearest, squared_distances(points[candidates], points))  # (trials, n)
        best = int(np.argmin(reduced.sum(axis=1, dtype=np.float64)))
        seeds.append(int(candidates[best]))
        nearest = reduced[best]
    return np.array(seeds, dtype=np.int64)


def draw_rows(cumulative: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows with replacement, in proportion to the weights whose running sum `(n,)` is given."""
    places = rng.random(count) * cumulative[-1]  # (count,)
    # Side "right" never lands on a row of weight zero; rounding may reach past the last weighted row.
    last = int(np.searchsorted(cumulative, cumulative[-1], side="left"))
    rows: NDArray[np.int64] = np.minimum(np.searchsorted(cumulative, places, side="right"), last)
    return rows


def squared_distances(centres: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared Euclidean distance of every centre `(k, d)` to every unit vector `(n, d)`: `(k, n)`."""
    distances = centres @ points.T  # (k, n)
    distances *= -2
    distances += np.einsum("ij,ij->i", centres, centres)[:, np.newaxis] + np.float32(1)
    distances[distances < _SQUARED_RESOLUTION] = 0
    return distances
