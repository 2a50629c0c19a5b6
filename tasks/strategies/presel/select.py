"""Stage select: the most central images of every cluster."""

from pathlib import Path

from components.recuration.kept_quotas import kept_ids
from components.schemas import CHOSEN, SELECTION
from components.storage import read_table, write_table
from tasks.bodies.central_images import CENTRALITY_PARAMETERS, select_central_images
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import selection_tables


def _nothing(directory: Path) -> None:
    write_table(directory / "selection.parquet", SELECTION.empty_table())


@stage(
    "the most central images of every cluster (Eq. 7)",
    reads=("allocation", "clusters", "earlier/selection", "inputs/encoder.json", "reference", "vectors"),
    parameters=CENTRALITY_PARAMETERS,
    writes="selection",
    nothing=_nothing,
    tables=selection_tables,
)
def select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota; what an earlier curation picked stays."""
    reference = read_table(context.input("reference") / "reference.parquet", CHOSEN)
    earlier = read_table(context.input("earlier/selection") / "selection.parquet", SELECTION)
    return select_central_images(context, reference["sample_id"].combine_chunks(), kept_ids(earlier))
