"""Stage cluster: k-means per task."""

import functools

import pyarrow.compute as pc

from components.embedding.vector_store import encoder_fingerprint, read_vectors, stored_images
from components.ingest.manifest import read_samples
from components.selection.cluster_tasks import cluster_tasks
from components.storage import fresh_directory, write_table
from tasks.stage import StageContext, StageSummary, stage_task


@stage_task("cluster")
def cluster(context: StageContext) -> StageSummary:
    """Cluster the samples that have a vector."""
    parameters, vectors = context.parameters, context.input("vectors")
    encoder = parameters.encoder
    model = encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
    samples = read_samples(context.input("manifest"))
    samples = samples.filter(pc.is_in(samples["image_sha"], value_set=stored_images(vectors, model=model)))
    result = cluster_tasks(
        samples,
        functools.partial(read_vectors, vectors, model=model),
        images_per_cluster=parameters.cluster.images_per_cluster,
        iterations=parameters.cluster.iterations,
        restarts=parameters.cluster.restarts,
        seed=parameters.seed,
    )
    with fresh_directory(context.output) as directory:
        write_table(directory / "clusters.parquet", result.clusters)
        write_table(directory / "centroids.parquet", result.centroids)
    count, distance = result.centroids.num_rows, result.mean_distance
    note = f"{result.clusters.num_rows:,} samples in {count:,} clusters, mean distance {distance:.3f}"
    return StageSummary(result.clusters.num_rows, note, (("clusters", count), ("mean_distance", distance)))
