"""Stage baseline_select: the images of a control, chosen without looking."""

import numpy as np
import pyarrow as pa

from components.pool.manifest import read_samples
from components.schemas import CHOSEN, TRAINING_SAMPLES
from components.selection.select_random import select_random
from components.storage import fresh_directory, read_table, write_table
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("baseline_select")
def baseline_select(context: StageContext) -> StageSummary:
    """`random`: as many as the training set has, uniformly from the pool; `full`: all of it."""
    parameters = context.parameters
    samples = read_samples(context.input("manifest"))
    training_set = read_table(context.input("training_set") / "samples.parquet", TRAINING_SAMPLES)
    budget = training_set.num_rows if context.item == "random" else samples.num_rows
    ids = samples["sample_id"].to_pylist()
    picked = select_random(
        ids, np.zeros(len(ids), dtype=bool), budget=budget, rng=np.random.default_rng(parameters.seed)
    )
    table = samples.filter(pa.array(picked)).select(CHOSEN.names)
    with fresh_directory(context.output) as directory:
        write_table(directory / "chosen.parquet", table)
    return StageSummary(table.num_rows, f"{table.num_rows:,} of {samples.num_rows:,} samples ({context.item})")
