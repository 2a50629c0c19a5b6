"""Stage warm_up: the samples that TIVE's reference model is tuned on."""

import pyarrow as pa

from components.schemas import CHOSEN, INSTRUCTIONS
from components.storage import fresh_directory, read_table, write_table
from components.strategies.tive.parameters import TiveParameters
from components.strategies.tive.warm_up_set import choose_warm_up_set
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


@stage(
    "the 8 % that the reference model is tuned on, the same number from every task",
    reads=("instructions/pool",),
    parameters=("tive.warm_up_share", "seed"),
    writes="warm_up",
)
def warm_up(context: StageContext) -> StageSummary:
    """Choose the warm-up set among the samples that have an instruction."""
    pool = read_table(context.input("instructions/pool") / "instructions.parquet", INSTRUCTIONS)
    chosen = choose_warm_up_set(
        pool["sample_id"].to_pylist(),
        pool["task"].to_pylist(),
        share=context.parameters.section(TiveParameters).warm_up_share,
        seed=context.parameters.seed,
    )
    table = pool.filter(pa.array(chosen)).select(CHOSEN.names)
    with fresh_directory(context.output) as directory:
        write_table(directory / "warm_up.parquet", table)
    return StageSummary(table.num_rows, f"{table.num_rows:,} of {pool.num_rows:,} samples")
