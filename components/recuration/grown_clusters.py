"""The clusters of a pool that has changed: new images join the clusters there are, as long as they fit in."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.compute.engine import Engine
from components.parameters.parameters import RecurateParameters
from components.recuration.drift import Drift, measure_drift
from components.schemas import ASSIGNED, CENTROIDS, CLUSTERED_TASKS, CLUSTERS
from components.selection.by_task import tasks_of
from components.selection.cluster_tasks import LoadVectors, PoolClusters, TaskVectors, cluster_task, join_clusters
from components.selection.clustering import assign_to_centroids, cluster_count
from components.storage import read_table, write_table

NEW, KEPT, AGAIN = "new", "kept", "clustered again"
# A task is not clustered again for a drift that chance gives more often than this (p value of Welch's one-sided test).
DRIFT_SIGNIFICANCE = 0.01
_FIRST = "there were no clusters"
_NOTHING = Drift(0, 0, float("nan"), float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class GrownClusters:
    """The clusters of a pool, and how each task came to them.

    Attributes:
        pool: the clusters.
        tasks: CLUSTERED_TASKS.
        assigned: ASSIGNED.
    """

    pool: PoolClusters
    tasks: pa.Table
    assigned: pa.Table

    def count(self, verdict: str) -> int:
        """Tasks with this verdict."""
        return int(pc.sum(pc.equal(self.tasks["verdict"], verdict)).as_py() or 0)


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """How a task is clustered.

    Attributes:
        images_per_cluster: C = max(1, floor(|T| / this)).
        seed: as `cluster_task` takes it.
        encoder: fingerprint of the encoder whose vectors are clustered.
    """

    images_per_cluster: int
    seed: int
    encoder: str


@dataclass(frozen=True, slots=True, eq=False)
class _Grown:
    """One task."""

    pool: PoolClusters
    assigned: pa.Array  # sample ids
    row: dict[str, object]  # of CLUSTERED_TASKS


@dataclass(frozen=True, slots=True)
class _ToCluster:
    """A task that is to be clustered, and why."""

    verdict: str
    reason: str
    drift: Drift


def cluster_grown_pool(
    samples: pa.Table,
    load_vectors: LoadVectors,
    earlier: GrownClusters,
    *,
    options: ClusterOptions,
    limits: RecurateParameters,
    engine: Engine,
) -> GrownClusters:
    """Cluster each task by itself, keeping the clusters it has where they still fit.

    New images go to the nearest centroid. A task is clustered again when the encoder or `images_per_cluster` changed,
    when it has more than `limits.recluster_growth` times the images that its clusters were made of, or when the images
    that came since its clusters were made lie significantly further from the centroids than those that shaped them
    (`measure_drift`). Without earlier clusters every task is clustered, as `cluster_task` does.

    Args:
        samples: SAMPLES, every one of which has a vector.
        load_vectors: image shas to `(n, d)` float32 in their order.
        earlier: of the earlier curation; tables without rows where there is none.
        options: how to cluster.
        limits: when to cluster again.
        engine: where tasks are clustered; the vectors of one are read when it takes the task.

    Returns:
        Clusters, and a row per task that says what was done and why.

    Raises:
        ValueError: there are no samples, or a vector cannot be clustered.
    """
    if not samples.num_rows:
        raise ValueError("no sample has a vector; look at vectors/dropped.parquet for the reasons")
    kept: dict[str, _Grown] = {}
    to_cluster: dict[str, _ToCluster] = {}

    def asked() -> Iterator[TaskVectors]:
        for task, members in tasks_of(samples):
            found = _grow(task, members, load_vectors, earlier, options, limits)
            if isinstance(found, _ToCluster):
                to_cluster[task] = found
                yield TaskVectors(task, members, load_vectors(members["image_sha"].to_pylist()))
            else:
                kept[task] = found

    cluster = partial(cluster_task, images_per_cluster=options.images_per_cluster, seed=options.seed)
    clustered = list(engine.each(asked(), cluster, name="cluster"))
    found = kept | {
        task: _clustered(task, pool, why, options)
        for (task, why), pool in zip(to_cluster.items(), clustered, strict=True)
    }
    grown = [found[task] for task in sorted(found)]
    return GrownClusters(
        pool=join_clusters(part.pool for part in grown),
        tasks=pa.Table.from_pylist([part.row for part in grown], schema=CLUSTERED_TASKS),
        assigned=pa.table([pa.concat_arrays([part.assigned for part in grown])], schema=ASSIGNED).sort_by("sample_id"),
    )


def write_clusters(directory: Path, clusters: GrownClusters) -> None:
    """Write `clusters.parquet`, `centroids.parquet`, `tasks.parquet` and `assigned.parquet`."""
    write_table(directory / "clusters.parquet", clusters.pool.clusters)
    write_table(directory / "centroids.parquet", clusters.pool.centroids)
    write_table(directory / "tasks.parquet", clusters.tasks)
    write_table(directory / "assigned.parquet", clusters.assigned)


def read_clusters(directory: Path) -> GrownClusters:
    """Read what `write_clusters` wrote."""
    return GrownClusters(
        pool=PoolClusters(
            read_table(directory / "clusters.parquet", CLUSTERS), read_table(directory / "centroids.parquet", CENTROIDS)
        ),
        tasks=read_table(directory / "tasks.parquet", CLUSTERED_TASKS),
        assigned=read_table(directory / "assigned.parquet", ASSIGNED),
    )


def no_clusters() -> GrownClusters:
    """What there is before the first curation."""
    pool = PoolClusters(CLUSTERS.empty_table(), CENTROIDS.empty_table())
    return GrownClusters(pool, CLUSTERED_TASKS.empty_table(), ASSIGNED.empty_table())


def _grow(
    task: str,
    members: pa.Table,
    load_vectors: LoadVectors,
    earlier: GrownClusters,
    options: ClusterOptions,
    limits: RecurateParameters,
) -> _Grown | _ToCluster:
    told = earlier.tasks.filter(pc.equal(earlier.tasks["task"], task)).to_pylist()
    if not told:
        return _ToCluster(NEW, _FIRST, _NOTHING)
    reason = _why_not_comparable(told[0], members.num_rows, options, limits)
    if reason:
        return _ToCluster(AGAIN, reason, _NOTHING)
    clusters, assigned = _join(task, members, load_vectors, earlier)
    centroids = earlier.pool.centroids.filter(pc.equal(earlier.pool.centroids["task"], task))
    drift = _drift(clusters, centroids, assigned)
    compared = f"{drift.ratio:.3f} times as far as the old, p = {drift.p_value:.2g}"
    if drift.is_beyond(ratio=limits.drift_ratio, significance=DRIFT_SIGNIFICANCE):
        return _ToCluster(AGAIN, f"the new images lie {compared}", drift)
    reason = f"the new images lie {compared}" if drift.new_images else "no image is new"
    fitted = {name: told[0][name] for name in ("fitted", "images_per_cluster", "encoder")}
    row = {"task": task, "verdict": KEPT, "reason": reason, **asdict(drift), **fitted}
    return _Grown(PoolClusters(clusters, centroids), assigned, row)


def _clustered(task: str, pool: PoolClusters, why: _ToCluster, options: ClusterOptions) -> _Grown:
    fitted = {
        "fitted": pool.clusters.num_rows,
        "images_per_cluster": options.images_per_cluster,
        "encoder": options.encoder,
    }
    row = {"task": task, "verdict": why.verdict, "reason": why.reason, **asdict(why.drift), **fitted}
    return _Grown(pool, pa.array([], pa.string()), row)


def _why_not_comparable(
    told: dict[str, object], images: int, options: ClusterOptions, limits: RecurateParameters
) -> str:
    """Why a task is clustered again whatever its new images look like; empty when it need not be."""
    if told["encoder"] != options.encoder:
        return "the encoder is another one"
    per_cluster, fitted = int(str(told["images_per_cluster"])), int(str(told["fitted"]))
    if per_cluster != options.images_per_cluster:
        return f"cluster.images_per_cluster was {per_cluster} and is {options.images_per_cluster}"
    asked, now = (cluster_count(count, images_per_cluster=per_cluster) for count in (fitted, images))
    # Images, not clusters: of few clusters one more is a large part.
    if images > limits.recluster_growth * fitted and now > asked:
        return f"it has grown from {fitted:,} to {images:,} images, which ask for {now:,} clusters instead of {asked:,}"
    return ""


def _join(task: str, members: pa.Table, load_vectors: LoadVectors, earlier: GrownClusters) -> tuple[pa.Table, pa.Array]:
    """The earlier clusters of what is still there with the new images assigned, and all that were assigned so far."""
    known = earlier.pool.clusters.filter(pc.is_in(earlier.pool.clusters["sample_id"], value_set=_ids(members)))
    new = members.filter(pc.invert(pc.is_in(members["sample_id"], value_set=_ids(known))))
    came_later = pa.concat_arrays([_ids(new), _ids(earlier.assigned)])
    if new.num_rows:
        rows = earlier.pool.centroids.filter(pc.equal(earlier.pool.centroids["task"], task))
        labels, distances = assign_to_centroids(load_vectors(new["image_sha"].to_pylist()), _matrix(rows))
        numbers = rows["cluster"].to_numpy()[labels]
        columns = [*(new[name] for name in CLUSTERS.names[:3]), pa.array(numbers), pa.array(distances)]
        known = pa.concat_tables([known, pa.table(columns, schema=CLUSTERS)])
    return known.sort_by("sample_id").combine_chunks(), _ids(
        members.filter(pc.is_in(members["sample_id"], value_set=came_later))
    )


def _drift(clusters: pa.Table, centroids: pa.Table, assigned: pa.Array) -> Drift:
    is_new = np.asarray(pc.is_in(clusters["sample_id"], value_set=assigned))  # (n,)
    size_of = dict(zip(centroids["cluster"].to_pylist(), centroids["size"].to_pylist(), strict=True))
    sizes = np.array([size_of[cluster] for cluster in clusters["cluster"].to_pylist()], dtype=np.int64)  # (n,)
    distances = clusters["distance"].to_numpy()  # (n,)
    return measure_drift(distances[~is_new], sizes[~is_new], distances[is_new])


def _matrix(centroids: pa.Table) -> NDArray[np.float32]:
    return np.array(centroids["centroid"].to_pylist(), dtype=np.float32)  # (C, d)


def _ids(table: pa.Table) -> pa.Array:
    return table["sample_id"].combine_chunks()
