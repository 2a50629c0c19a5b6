"""Stage concept_shares: transferability, density and quota of every cluster."""

import pyarrow.compute as pc

from components.models.features.feature_store import read_features
from components.schemas import CONCEPT_CENTROIDS, CONCEPTS
from components.storage import fresh_directory, read_table, write_table
from components.strategies.coincide.parameters import CoincideParameters
from components.strategies.coincide.select import concept_share_table
from tasks.bodies.budget import BUDGET_PARAMETERS, budget_of
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


@stage(
    "transferability, density and quota of every cluster",
    reads=("activations", "concepts", "manifest/samples.parquet"),
    parameters=(*BUDGET_PARAMETERS, "coincide.layers", "coincide.profile", "coincide.temperature"),
    writes="concept_shares",
)
def concept_shares(context: StageContext) -> StageSummary:
    """Hand the budget out over the clusters."""
    parameters, folder = context.parameters.section(CoincideParameters), context.input("concepts")
    clustered = read_table(folder / "concepts.parquet", CONCEPTS)
    budget = budget_of(context)
    found = concept_share_table(
        clustered,
        read_table(folder / "centroids.parquet", CONCEPT_CENTROIDS),
        read_features(context.input("activations"), clustered["sample_id"].to_pylist()),
        layers=len(parameters.layers),
        budget=budget,
        temperature=parameters.temperature,
        profile=parameters.profile,
    )
    with fresh_directory(context.output) as directory:
        write_table(directory / "shares.parquet", found.shares)
        write_table(directory / "typicality.parquet", found.typicality)
    table = found.shares
    placed = pc.sum(table["quota"]).as_py()
    served = pc.sum(pc.greater(table["quota"], 0)).as_py()
    note = f"{placed:,} of {budget:,} samples over {served:,} of {table.num_rows:,} clusters"
    return StageSummary(table.num_rows, note, (("to_select", budget), ("served_clusters", served)))
