"""Stage cluster: k-means per task."""

import functools

import pyarrow.compute as pc

from components.models.embedding.vector_store import encoder_fingerprint, read_vectors, stored_images
from components.parameters.parameters import Parameters
from components.pool.manifest import read_samples
from components.recuration.grown_clusters import (
    AGAIN,
    KEPT,
    NEW,
    ClusterOptions,
    cluster_grown_pool,
    read_clusters,
    write_clusters,
)
from components.storage import fresh_directory
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("cluster")
def cluster(context: StageContext) -> StageSummary:
    """Cluster the samples that have a vector, or let them join the clusters there are."""
    parameters, vectors = context.parameters, context.input("vectors")
    encoder = parameters.encoder
    model = encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
    samples = read_samples(context.input("manifest"))
    samples = samples.filter(pc.is_in(samples["image_sha"], value_set=stored_images(vectors, model=model)))
    result = cluster_grown_pool(
        samples,
        functools.partial(read_vectors, vectors, model=model),
        read_clusters(context.input("earlier/clusters")),
        options=_options(parameters, model),
        limits=parameters.recurate,
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
    own = parameters.cluster
    return ClusterOptions(own.images_per_cluster, own.iterations, own.restarts, parameters.seed, encoder)
