"""Stage cluster: k-means per task."""

import functools
from pathlib import Path

import pyarrow.compute as pc

from components.models.embedding.vector_store import read_vectors, stored_images
from components.parameters.parameters import Parameters
from components.pool.manifest import read_samples
from components.recuration.grown_clusters import (
    AGAIN,
    KEPT,
    NEW,
    ClusterOptions,
    cluster_grown_pool,
    no_clusters,
    read_clusters,
    write_clusters,
)
from components.schemas import CLUSTERS
from components.storage import fresh_directory, read_table
from tasks.bodies.encoder import ENCODER_PARAMETERS, vectors_key
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable


def _nothing(directory: Path) -> None:
    write_clusters(directory, no_clusters())


def _tables(directory: Path) -> list[StageTable]:
    clusters = read_table(directory / "clusters.parquet", CLUSTERS)
    summed = clusters.group_by("task").aggregate([("task", "count"), ("cluster", "count_distinct")]).sort_by("task")
    rows = tuple((row["task"], row["task_count"], row["cluster_count_distinct"]) for row in summed.to_pylist())
    return [StageTable("clusters", "Clusters per task", ("task", "images", "clusters"), rows)]


@stage(
    "k-means per task",
    reads=("earlier/clusters", "inputs/encoder.json", "manifest/samples.parquet", "vectors"),
    parameters=(
        "cluster",
        "recurate.drift_ratio",
        "recurate.recluster_growth",
        *ENCODER_PARAMETERS,
        "seed",
    ),
    writes="clusters",
    nothing=_nothing,
    tables=_tables,
)
def cluster(context: StageContext) -> StageSummary:
    """Cluster the samples that have a vector, or let them join the clusters there are."""
    parameters, vectors = context.parameters, context.input("vectors")
    model = vectors_key(parameters)
    samples = read_samples(context.input("manifest"))
    samples = samples.filter(pc.is_in(samples["image_sha"], value_set=stored_images(vectors, model=model)))
    result = cluster_grown_pool(
        samples,
        functools.partial(read_vectors, vectors, model=model),
        read_clusters(context.input("earlier/clusters")),
        options=_options(parameters, model),
        limits=parameters.recurate,
        engine=context.engine,
    )
    with fresh_directory(context.output) as directory:
        write_clusters(directory, result)
    count, distance, rows = result.pool.centroids.num_rows, result.pool.mean_distance, result.pool.clusters.num_rows
    verdicts = {"kept": result.count(KEPT), "clustered_again": result.count(AGAIN), "new": result.count(NEW)}
    told = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in verdicts.items() if number)
    note = f"{rows:,} samples in {count:,} clusters, mean distance {distance:.3f}; tasks: {told}"
    counts = tuple((f"tasks_{name}", float(number)) for name, number in verdicts.items())
    return StageSummary(rows, note, (("clusters", count), ("mean_distance", distance), *counts))


def _options(parameters: Parameters, encoder: str) -> ClusterOptions:
    return ClusterOptions(parameters.cluster.images_per_cluster, parameters.seed, encoder)
