"""Stage coincide_select: the images that represent each cluster best together."""

import pyarrow.compute as pc

from components.models.features.feature_store import read_features
from components.schemas import CONCEPT_SHARES, CONCEPTS
from components.storage import fresh_directory, read_table, write_table
from components.strategies.coincide.parameters import CoincideParameters
from components.strategies.coincide.select import select_by_concept
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("coincide_select")
def coincide_select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota by greedy MMD."""
    clustered = read_table(context.input("concepts") / "concepts.parquet", CONCEPTS)
    table = select_by_concept(
        clustered,
        read_table(context.input("concept_shares") / "shares.parquet", CONCEPT_SHARES),
        read_features(context.input("activations"), clustered["sample_id"].to_pylist()),
        profile=context.parameters.section(CoincideParameters).profile,
    )
    with fresh_directory(context.output) as directory:
        write_table(directory / "selection.parquet", table)
    picked = pc.sum(table["picked"]).as_py()
    return StageSummary(table.num_rows, f"{picked:,} of {table.num_rows:,} samples picked", (("picked", picked),))
