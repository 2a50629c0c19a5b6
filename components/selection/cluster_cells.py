"""The cells over which a budget is spread: every cluster of every task, and how many images it has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ClusterCells:
    """The clusters of all tasks, sorted by task and cluster.

    Attributes:
        tasks: task of each cell, `K` of them.
        clusters: `(K,)` int64, number of the cluster within its task.
        sizes: `(K,)` int64, all images of the cluster.
        available: `(K,)` int64, those outside the reference set.
    """

    tasks: tuple[str, ...]
    clusters: NDArray[np.int64]
    sizes: NDArray[np.int64]
    available: NDArray[np.int64]


def count_cluster_cells(
    tasks: Sequence[str], clusters: NDArray[np.int64], is_reference: NDArray[np.bool_]
) -> ClusterCells:
    """Count the images of every cluster of every task.

    Args:
        tasks: task of each sample, `n` of them.
        clusters: `(n,)` int, cluster of each sample within its task.
        is_reference: `(n,)`, true for members of the reference set.

    Returns:
        One cell per (task, cluster) that occurs.

    Raises:
        ValueError: the lengths differ.
    """
    if not len(tasks) == len(clusters) == len(is_reference):
        raise ValueError(
            f"{len(tasks)} tasks, {len(clusters)} clusters and {len(is_reference)} reference marks; "
            "give one of each per sample"
        )
    counts: dict[tuple[str, int], list[int]] = {}
    for task, cluster, reference in zip(tasks, clusters.tolist(), is_reference.tolist(), strict=True):
        count = counts.setdefault((task, cluster), [0, 0])
        count[0] += 1
        count[1] += not reference
    cells = sorted(counts)
    return ClusterCells(
        tasks=tuple(task for task, _ in cells),
        clusters=np.array([cluster for _, cluster in cells], dtype=np.int64),
        sizes=np.array([counts[cell][0] for cell in cells], dtype=np.int64),
        available=np.array([counts[cell][1] for cell in cells], dtype=np.int64),
    )
