"""Picks each cluster's quota of images, the most representative first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.selection.cluster_cells import ClusterCells
from components.selection.neighbour_centrality import neighbour_centrality, order_by_centrality


@dataclass(frozen=True, slots=True, eq=False)
class SelectionResult:
    """What became of each sample, `n` of them.

    Attributes:
        centrality: `(n,)` float64 (Eq. 7), higher wins; NaN for reference images.
        rank: `(n,)` int64 among the cluster's images outside the reference set, from 1; 0 if in it.
        quota: `(n,)` int64, images picked from the sample's cluster.
        picked: `(n,)`, true for what is kept and for the best ranked others, as many as the quota has room for.
    """

    centrality: NDArray[np.float64]
    rank: NDArray[np.int64]
    quota: NDArray[np.int64]
    picked: NDArray[np.bool_]


def select_samples(
    sample_ids: Sequence[str],
    tasks: Sequence[str],
    clusters: NDArray[np.int64],
    is_reference: NDArray[np.bool_],
    vectors: NDArray[np.floating],
    *,
    cells: ClusterCells,
    quotas: NDArray[np.int64],
    neighbours: int = 5,
    is_kept: NDArray[np.bool_] | None = None,
) -> SelectionResult:
    """Rank the images of every cluster by neighbour centrality and pick its quota.

    Images that an earlier curation picked stay picked, whatever their rank is now; the best ranked others fill the
    quota.

    The samples may be the whole pool or some of its tasks, one at a time to save memory; a task that occurs
    must be complete. Only one cluster's vectors are converted at a time, so `vectors` may be memory-mapped.

    Args:
        sample_ids: distinct ids, `n` of them.
        tasks: task of each sample, `n`.
        clusters: `(n,)` int, cluster of each sample within its task.
        is_reference: `(n,)`, true for members of the reference set; they are neither picked nor neighbours.
        vectors: `(n, d)` floating, finite and not zero.
        cells: the clusters, as `count_cluster_cells` returned them.
        quotas: `(K,)` int, images to pick from each cell.
        neighbours: k of Eq. 7.
        is_kept: `(n,)`, true for images outside the reference set that stay picked; None: none.

    Returns:
        Centrality, rank, quota and pick of each sample.

    Raises:
        ValueError: lengths differ, a task is incomplete or not in `cells`, a quota exceeds its cluster, or a cluster
            keeps more than its quota.
    """
    kept = np.zeros(len(sample_ids), dtype=np.bool_) if is_kept is None else is_kept & ~is_reference  # (n,)
    lengths = {len(sample_ids), len(tasks), len(clusters), len(is_reference), len(kept), len(vectors)}
    if len(lengths) != 1:
        raise ValueError(
            f"{len(sample_ids)} sample ids, {len(tasks)} tasks, {len(clusters)} clusters, "
            f"{len(is_reference)} reference marks, {len(kept)} marks of kept images and {len(vectors)} vectors; give "
            "one of each per sample"
        )
    if len(quotas) != len(cells.tasks):
        raise ValueError(f"{len(quotas)} quotas for {len(cells.tasks)} clusters; give one per cluster")
    rows_of_cell = _rows_of_cells(tasks, clusters, cells)
    centrality = np.full(len(sample_ids), np.nan)  # (n,)
    rank = np.zeros(len(sample_ids), dtype=np.int64)  # (n,)
    quota_of_sample = np.zeros(len(sample_ids), dtype=np.int64)  # (n,)
    picked = kept.copy()  # (n,)
    for cell, rows in rows_of_cell.items():
        free = rows[~is_reference[rows]]  # (a,)
        quota = int(quotas[cell])
        room = quota - int(kept[free].sum())
        _check_cell(cells, cell, size=len(rows), available=len(free), quota=quota, room=room)
        quota_of_sample[rows] = quota
        if not free.size:
            continue
        scores = neighbour_centrality(vectors[free], neighbours=neighbours)  # (a,)
        order = order_by_centrality(scores, [sample_ids[row] for row in free])  # (a,)
        centrality[free] = scores
        ranked = free[order]  # (a,)
        rank[ranked] = np.arange(1, len(free) + 1)
        picked[ranked[~kept[ranked]][:room]] = True
    return SelectionResult(centrality, rank, quota_of_sample, picked)


def _rows_of_cells(
    tasks: Sequence[str], clusters: NDArray[np.int64], cells: ClusterCells
) -> dict[int, NDArray[np.int64]]:
    """The rows of each cell whose task occurs among the samples."""
    cell_of = {key: cell for cell, key in enumerate(zip(cells.tasks, cells.clusters.tolist(), strict=True))}
    present = set(tasks)
    rows: dict[int, list[int]] = {cell: [] for (task, _), cell in cell_of.items() if task in present}
    for row, key in enumerate(zip(tasks, clusters.tolist(), strict=True)):
        if key not in cell_of:
            raise ValueError(f"cluster {key[1]} of task {key[0]!r} has no quota; allocate again for these clusters")
        rows[cell_of[key]].append(row)
    return {cell: np.array(members, dtype=np.int64) for cell, members in rows.items()}


def _check_cell(cells: ClusterCells, cell: int, *, size: int, available: int, quota: int, room: int) -> None:
    name = f"cluster {int(cells.clusters[cell])} of task {cells.tasks[cell]!r}"
    if (size, available) != (int(cells.sizes[cell]), int(cells.available[cell])):
        raise ValueError(
            f"{name} has {size} samples, {available} outside the reference set, but was counted with "
            f"{int(cells.sizes[cell])} and {int(cells.available[cell])}; pass complete tasks or count again"
        )
    if not 0 <= quota <= available:
        raise ValueError(f"{name} has a quota of {quota}, but {available} images outside the reference set")
    if room < 0:
        raise ValueError(f"{name} keeps {quota - room} images but has a quota of {quota}; allocate with what is kept")
