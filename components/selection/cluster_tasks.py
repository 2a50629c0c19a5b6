"""k-means of every task of a pool, one task's vectors in memory at a time."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.schemas import CENTROIDS, CLUSTERS
from components.selection.clustering import ClusterResult, cluster_count, k_means

LoadVectors = Callable[[Sequence[str]], NDArray[np.float32]]


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


def cluster_tasks(
    samples: pa.Table,
    load_vectors: LoadVectors,
    *,
    images_per_cluster: int,
    iterations: int,
    restarts: int,
    seed: int,
) -> PoolClusters:
    """Cluster each task by itself (section 4.1 of PreSel).

    Args:
        samples: SAMPLES, every one of which has a vector.
        load_vectors: image shas to `(n, d)` float32 in their order.
        images_per_cluster: C = max(1, floor(|T| / this)).
        iterations: Lloyd iterations at most.
        restarts: seeded starts.
        seed: each task's own seed derives from it and the task's name, so a new task changes no other.

    Returns:
        Clusters, numbered within their task from 0 by size descending.

    Raises:
        ValueError: there are no samples, or a vector cannot be clustered.
    """
    if not samples.num_rows:
        raise ValueError("no sample has a vector; look at vectors/dropped.parquet for the reasons")
    return join_clusters(
        cluster_task(
            task,
            members,
            load_vectors,
            images_per_cluster=images_per_cluster,
            iterations=iterations,
            restarts=restarts,
            seed=seed,
        )
        for task, members in tasks_of(samples)
    )


def cluster_task(
    task: str,
    members: pa.Table,
    load_vectors: LoadVectors,
    *,
    images_per_cluster: int,
    iterations: int,
    restarts: int,
    seed: int,
) -> PoolClusters:
    """Cluster one task; arguments and result as of `cluster_tasks`, `members` being the task's rows of SAMPLES."""
    vectors = load_vectors(members["image_sha"].to_pylist())  # (n, d)
    result = k_means(
        vectors,
        cluster_count(len(vectors), images_per_cluster=images_per_cluster),
        seed=task_seed(seed, task),
        iterations=iterations,
        restarts=restarts,
    )
    columns = [*(members[name] for name in CLUSTERS.names[:3]), pa.array(result.labels), pa.array(result.distances)]
    return PoolClusters(pa.table(columns, schema=CLUSTERS), _centroid_rows(task, result))


def join_clusters(parts: Iterable[PoolClusters]) -> PoolClusters:
    """The clusters of several tasks, given in the order of their names, as those of one pool."""
    tables = [(part.clusters, part.centroids) for part in parts]
    clusters, centroids = (pa.concat_tables(column) for column in zip(*tables, strict=True))
    return PoolClusters(clusters.sort_by("sample_id").combine_chunks(), centroids)


def tasks_of(samples: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Each task, by name, with its rows in their order."""
    for task in sorted(pc.unique(samples["task"]).to_pylist()):
        yield task, samples.filter(pc.equal(samples["task"], task))


def task_seed(seed: int, task: str) -> int:
    """A seed of its own for every task."""
    digest = hashlib.sha256(f"{seed}\0{task}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _centroid_rows(task: str, result: ClusterResult) -> pa.Table:
    count = len(result.centroids)
    sizes = np.bincount(result.labels, minlength=count)  # (C,)
    return pa.table(
        [[task] * count, np.arange(count), sizes, result.centroids.tolist()],
        schema=CENTROIDS,
    )
