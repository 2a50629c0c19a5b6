"""k-means of many vectors: Lloyd's iterations that also move centroids to where they are missed most."""

import numpy as np
from numpy.typing import NDArray

from components.selection.centroids import nearest_centroids
from components.selection.cluster_seeding import choose_seeds, draw_rows

_SEEDED_FROM = 20  # vectors per cluster, drawn at random, that the seeds are chosen from; more of them gain nothing
_ROUNDS = 40  # at most
_GAIN = 1e-4  # relative decrease of the inertia in a round below which exchanges end, and then the rounds
_SPLIT_ITERATIONS = 4  # of the two-means that splits a cluster
_LEAST_GAIN = 1e-6  # of an exchange; less is what float32 makes of equal vectors


def k_means_by_exchange(
    points: NDArray[np.float32], cluster_count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Centroids of many vectors from one seeded start.

    Every round assigns all vectors, moves the centroids to the means of theirs, and exchanges clusters as long as the
    inertia falls (`update_centroids`): one pass over the vectors mends many misplaced centroids, where a swap of a
    single one takes two. O(n k d) per round.

    Args:
        points: `(n, d)` float32 unit vectors.
        cluster_count: k, 1 to n.
        rng: source of the draws.

    Returns:
        `(k, d)` float32. A centroid may have no vectors only where there are fewer than k distinct ones.
    """
    drawn = rng.permutation(len(points))[: _SEEDED_FROM * cluster_count]
    sample = points[drawn]  # (s, d)
    seeds = choose_seeds(sample, cluster_count, rng)
    # Copies are drawn into the sample again and again; what they leave unseeded, the exchanges place.
    seeds = np.concatenate([seeds, rng.integers(len(sample), size=cluster_count - len(seeds))])
    centroids = sample[seeds]  # (k, d)
    exchanging, previous = cluster_count > 1, np.inf
    for _ in range(_ROUNDS):
        distances, labels = nearest_centroids(points, centroids, min(2, cluster_count))  # (n, 2), (n, 2)
        inertia = float(distances[:, 0].sum(dtype=np.float64))
        if inertia > previous * (1 - _GAIN):
            if not exchanging and len(np.unique(labels[:, 0])) == cluster_count:
                break
            exchanging = False
        previous = inertia
        centroids = update_centroids(points, centroids, distances, labels, rng, exchanging=exchanging)
    return centroids


def update_centroids(
    points: NDArray[np.float32],
    centroids: NDArray[np.float32],
    distances: NDArray[np.float32],
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    exchanging: bool,
) -> NDArray[np.float32]:
    """Move every centroid to the mean of its vectors; where that pays, dissolve one cluster and split another.

    What dissolving costs is known from the second nearest centroids; what splitting gains, from a two-means within the
    cluster. The cheapest dissolutions are paired with the most profitable splits, as long as these gain more (split and
    merge: Kaukoranta, Fraenti and Nevalainen 1998). A cluster that takes dissolved vectors over stays as it is.

    Args:
        points: `(n, d)` float32 unit vectors.
        centroids: `(k, d)` float32.
        distances: `(n, 2)` float32 squared distances to the nearest and the second nearest centroid; `(n, 1)` if k = 1.
        labels: `(n, 2)` those two centroids.
        rng: source of the draws.
        exchanging: false: only centroids without vectors are placed anew.

    Returns:
        `(k, d)` float32.
    """
    count = len(centroids)
    sizes = np.bincount(labels[:, 0], minlength=count)  # (k,)
    rows_of = np.split(np.argsort(labels[:, 0], kind="stable"), np.cumsum(sizes)[:-1])
    updated, gains, halves = centroids.copy(), np.zeros(count), np.zeros((2, *centroids.shape), dtype=np.float32)
    may_split = exchanging or not sizes.all()
    for cluster in np.flatnonzero(sizes).tolist():
        members = points[rows_of[cluster]]  # (m, d)
        updated[cluster] = members.mean(axis=0)
        if may_split and len(members) > 1:
            gains[cluster], halves[:, cluster] = _split(members, updated[cluster], rng)
    if not may_split:
        return updated
    losses = np.bincount(labels[:, 0], weights=distances[:, 1] - distances[:, 0], minlength=count)  # (k,)
    dissolvable = np.argsort(losses, kind="stable") if exchanging else np.flatnonzero(sizes == 0)
    splits = iter(np.argsort(-gains, kind="stable").tolist())
    gone, settled = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for cluster in dissolvable.tolist():
        heirs = labels[rows_of[cluster], 1]
        if settled[cluster] or gone[heirs].any():
            continue
        settled[heirs] = True
        split = next((one for one in splits if not (gone[one] or settled[one] or one == cluster)), None)
        if split is None or gains[split] <= losses[cluster] + _LEAST_GAIN:
            break
        gone[cluster] = settled[split] = True
        updated[split], updated[cluster] = halves[:, split]
    return updated


def _split(
    members: NDArray[np.float32], mean: NDArray[np.float32], rng: np.random.Generator
) -> tuple[float, NDArray[np.float32]]:
    """Two-means of one cluster's `(m, d)` vectors: the decrease of the inertia, and the two means `(2, d)`."""
    centred = members - mean  # (m, d)
    cumulative = np.cumsum(np.einsum("md,md->m", centred, centred), dtype=np.float64)  # (m,)
    if cumulative[-1] <= _LEAST_GAIN:
        return 0.0, np.stack([mean, mean])
    # The first side is what is nearer to a vector drawn like a k-means++ seed than to the mean.
    one, other = centred[draw_rows(cumulative, 1, rng)[0]], np.zeros_like(mean)
    for _ in range(_SPLIT_ITERATIONS):
        side = centred @ (one - other) > (one @ one - other @ other) / 2  # (m,)
        inside = int(side.sum())
        if inside in (0, len(members)):
            return 0.0, np.stack([mean, mean])
        total = side.astype(np.float32) @ centred  # (d,), the other side's is its negative
        one, other = total / np.float32(inside), -total / np.float32(len(members) - inside)
    gain = float(total @ total) * (1 / inside + 1 / (len(members) - inside))
    return gain, mean + np.stack([one, other])
