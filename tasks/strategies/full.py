"""Stage full_select: the whole pool, whatever the budget."""

from components.pool.manifest import read_samples
from components.strategies.full.select import select_everything
from tasks.bodies.tables import save_selection
from tasks.instruct import instruct_pool
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import selection_tables


@stage(
    "the whole pool, whatever the budget",
    reads=("manifest/samples.parquet",),
    writes="selection",
    tables=selection_tables,
)
def full_select(context: StageContext) -> StageSummary:
    """Pick every sample."""
    return save_selection(context, select_everything(read_samples(context.input("manifest"))))


STAGES = (instruct_pool, full_select)
