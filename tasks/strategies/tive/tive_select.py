"""Stage tive_select: a draw within every task."""

from components.schemas import DIFFICULTY, INFLUENCE
from components.storage import read_table
from components.strategies.tive.select import select_by_influence
from tasks.bodies.tables import save_selection
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import selection_tables


@stage(
    "a draw within every task",
    reads=("influence",),
    parameters=("seed",),
    writes="selection",
    tables=selection_tables,
)
def tive_select(context: StageContext) -> StageSummary:
    """Draw every task's quota."""
    folder = context.input("influence")
    table = select_by_influence(
        read_table(folder / "influence.parquet", INFLUENCE),
        read_table(folder / "difficulty.parquet", DIFFICULTY),
        seed=context.parameters.seed,
    )
    return save_selection(context, table)
