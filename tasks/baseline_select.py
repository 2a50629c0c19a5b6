"""Stage baseline_select: the images of a control, chosen without looking."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from components.pool.manifest import read_samples
from components.schemas import CHOSEN, TRAINING_SAMPLES
from components.selection.drawn_selection import draw
from components.storage import fresh_directory, read_table, write_table
from components.strategies.control_size import control_size
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable, count_table


def _tables(directory: Path) -> list[StageTable]:
    return [count_table("picked", "Picked per task", read_table(directory / "chosen.parquet", CHOSEN), "task")]


@stage(
    "the images of a control, as many as the training set has",
    reads=("manifest/samples.parquet", "training_set"),
    parameters=("seed",),
    writes="baseline_selection/${item}",
    each_baseline=True,
    tables=_tables,
)
def baseline_select(context: StageContext) -> StageSummary:
    """`random`: as many as the training set has, uniformly from the pool; `full`: all of it."""
    parameters = context.parameters
    samples = read_samples(context.input("manifest"))
    training_set = read_table(context.input("training_set") / "samples.parquet", TRAINING_SAMPLES)
    budget = control_size(context.item, training_set=training_set.num_rows, pool=samples.num_rows)
    ids = samples["sample_id"].to_pylist()
    picked = draw(ids, budget, rng=np.random.default_rng(parameters.seed))
    table = samples.filter(pa.array(picked)).select(CHOSEN.names)
    with fresh_directory(context.output) as directory:
        write_table(directory / "chosen.parquet", table)
    return StageSummary(table.num_rows, f"{table.num_rows:,} of {samples.num_rows:,} samples ({context.item})")
