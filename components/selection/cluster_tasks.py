"""k-means of every task of a pool, one task's vectors in memory at a time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.schemas import CENTROIDS, CLUSTERS
from components.selection.by_task import task_seed
from components.selection.clustering import ClusterResult, cluster_count, k_means

LoadVectors = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class TaskVectors:
    """A task with all that clustering it takes, wherever that is done.

    Attributes:
        task: its name.
        members: its rows of SAMPLES, every one of which has a vector.
        vectors: `(n, d)` float32 in their order.
    """

    task: str
    members: pa.Table
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PoolClusters:
    """The clusters of all tasks.

    Attributes:
        clusters: CLUSTERS, sorted by sample_id.
        centroids: CENTROIDS, sorted by task and cluster.
    """

    clusters: pa.Table
    centroids: pa.Table

    @property
    def mean_distance(self) -> float:
        """Of the unit vectors to their centroids, 0 to 2; lower is tighter."""
        return float(pc.mean(self.clusters["distance"]).as_py())


def cluster_task(given: TaskVectors, *, images_per_cluster: int, seed: int) -> PoolClusters:
    """Cluster one task by itself (section 4.1 of PreSel).

    Args:
        given: the task.
        images_per_cluster: C = max(1, floor(|T| / this)).
        seed: the task's own seed derives from it and the task's name, so a new task changes no other.

    Returns:
        Its clusters, numbered from 0 by size descending.

    Raises:
        ValueError: a vector cannot be clustered.
    """
    result = k_means(
        given.vectors,
        cluster_count(len(given.vectors), images_per_cluster=images_per_cluster),
        seed=task_seed(seed, given.task),
    )
    of_samples = (given.members[name] for name in CLUSTERS.names[:3])
    columns = [*of_samples, pa.array(result.labels), pa.array(result.distances)]
    return PoolClusters(pa.table(columns, schema=CLUSTERS), _centroid_rows(given.task, result))


def join_clusters(parts: Iterable[PoolClusters]) -> PoolClusters:
    """The clusters of several tasks, given in the order of their names, as those of one pool."""
    tables = [(part.clusters, part.centroids) for part in parts]
    clusters, centroids = (pa.concat_tables(column) for column in zip(*tables, strict=True))
    return PoolClusters(clusters.sort_by("sample_id").combine_chunks(), centroids)


def _centroid_rows(task: str, result: ClusterResult) -> pa.Table:
    count = len(result.centroids)
    sizes = np.bincount(result.labels, minlength=count)  # (C,)
    return pa.table(
        [[task] * count, np.arange(count), sizes, result.centroids.tolist()],
        schema=CENTROIDS,
    )
