"""Stage baseline_select: the images of a control, chosen without looking."""

import numpy as np
import pyarrow as pa

from components.ingest.manifest import read_samples
from components.schemas import CHOSEN
from components.selection.budget import parse_budget, resolve_budget
from components.selection.select import select_random
from components.storage import fresh_directory, write_table
from tasks.stage import StageContext, StageSummary, stage_task


@stage_task("baseline_select")
def baseline_select(context: StageContext) -> StageSummary:
    """`random`: the budget, uniformly from the pool; `full`: all of it."""
    parameters = context.parameters
    samples = read_samples(context.input("manifest"))
    budget = samples.num_rows
    if context.item == "random":
        price = parameters.instructions.price_per_instruction_usd
        budget = resolve_budget(parse_budget(parameters.budget), pool_size=samples.num_rows, dollars_per_image=price)
        budget = min(budget, samples.num_rows)
    ids = samples["sample_id"].to_pylist()
    picked = select_random(
        ids, np.zeros(len(ids), dtype=bool), budget=budget, rng=np.random.default_rng(parameters.seed)
    )
    table = samples.filter(pa.array(picked)).select(CHOSEN.names)
    with fresh_directory(context.output) as directory:
        write_table(directory / "chosen.parquet", table)
    return StageSummary(table.num_rows, f"{table.num_rows:,} of {samples.num_rows:,} samples ({context.item})")
