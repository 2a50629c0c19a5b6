"""Stage concepts: spherical k-means over the whole pool."""

import pyarrow.compute as pc

from components.models.features.feature_store import read_features, stored_samples
from components.pool.manifest import read_samples
from components.schemas import CHOSEN
from components.storage import fresh_directory, write_table
from components.strategies.coincide.parameters import CoincideParameters
from components.strategies.coincide.select import cluster_concepts
from components.strategies.coincide.spherical_k_means import ITERATIONS, concept_count
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


@stage(
    "spherical k-means over the whole pool",
    reads=("activations", "manifest/samples.parquet"),
    parameters=("coincide.clusters", "seed"),
    writes="concepts",
)
def concepts(context: StageContext) -> StageSummary:
    """Cluster the samples that have activations."""
    parameters, store = context.parameters.section(CoincideParameters), context.input("activations")
    samples = read_samples(context.input("manifest")).select(CHOSEN.names)
    samples = samples.filter(pc.is_in(samples["sample_id"], value_set=stored_samples(store))).sort_by("sample_id")
    result = cluster_concepts(
        samples,
        read_features(store, samples["sample_id"].to_pylist()),
        clusters=concept_count(samples.num_rows, parameters.clusters),
        iterations=ITERATIONS,
        seed=context.parameters.seed,
        engine=context.engine,
    )
    with fresh_directory(context.output) as directory:
        write_table(directory / "concepts.parquet", result.concepts)
        write_table(directory / "centroids.parquet", result.centroids)
    count, similarity = result.centroids.num_rows, pc.mean(result.concepts["similarity"]).as_py()
    note = f"{samples.num_rows:,} samples in {count:,} clusters, mean cosine to the centroid {similarity:.3f}"
    return StageSummary(samples.num_rows, note, (("clusters", count), ("mean_similarity", similarity)))
