"""Stage size_balanced_select: the most central images of every cluster."""

import pyarrow as pa

from tasks.bodies.central_images import CENTRALITY_PARAMETERS, select_central_images
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import selection_tables


@stage(
    "the most central images of every cluster (Eq. 7)",
    reads=("allocation", "clusters", "inputs/encoder.json", "vectors"),
    parameters=CENTRALITY_PARAMETERS,
    writes="selection",
    tables=selection_tables,
)
def size_balanced_select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota; there is no reference set to leave out."""
    nobody = pa.array([], pa.string())
    return select_central_images(context, nobody, nobody)
