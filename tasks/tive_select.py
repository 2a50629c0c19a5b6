"""Stage tive_select: a draw within every task."""

import pyarrow.compute as pc

from components.schemas import DIFFICULTY, INFLUENCE
from components.storage import fresh_directory, read_table, write_table
from components.strategies.tive.select import select_by_influence
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("tive_select")
def tive_select(context: StageContext) -> StageSummary:
    """Draw every task's quota."""
    folder = context.input("influence")
    table = select_by_influence(
        read_table(folder / "influence.parquet", INFLUENCE),
        read_table(folder / "difficulty.parquet", DIFFICULTY),
        seed=context.parameters.seed,
    )
    with fresh_directory(context.output) as directory:
        write_table(directory / "selection.parquet", table)
    picked = pc.sum(table["picked"]).as_py()
    return StageSummary(table.num_rows, f"{picked:,} of {table.num_rows:,} samples drawn", (("picked", picked),))
