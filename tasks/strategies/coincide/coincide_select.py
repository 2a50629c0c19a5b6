"""Stage coincide_select: the images that represent each cluster best together."""

from components.models.features.feature_store import read_features
from components.schemas import CONCEPT_SHARES, CONCEPTS, TYPICALITY
from components.storage import read_table
from components.strategies.coincide.parameters import CoincideParameters
from components.strategies.coincide.select import ConceptShares, select_by_concept
from tasks.bodies.tables import save_selection
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import selection_tables


@stage(
    "the images that represent each cluster best together (greedy MMD)",
    reads=("activations", "concept_shares", "concepts"),
    parameters=("coincide.profile",),
    writes="selection",
    tables=selection_tables,
)
def coincide_select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota by greedy MMD."""
    shares = context.input("concept_shares")
    clustered = read_table(context.input("concepts") / "concepts.parquet", CONCEPTS)
    table = select_by_concept(
        clustered,
        ConceptShares(
            read_table(shares / "shares.parquet", CONCEPT_SHARES),
            read_table(shares / "typicality.parquet", TYPICALITY),
        ),
        read_features(context.input("activations"), clustered["sample_id"].to_pylist()),
        profile=context.parameters.section(CoincideParameters).profile,
    )
    return save_selection(context, table)
