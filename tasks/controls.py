"""Stages of the strategies that do not look at images."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.pool.manifest import read_samples
from components.storage import fresh_directory, write_table
from components.strategies.full.select import select_everything
from components.strategies.random.select import select_uniformly
from components.strategies.uniform_task.select import select_uniform_task
from tasks.budget import budget_of
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("random_select")
def random_select(context: StageContext) -> StageSummary:
    """Uniformly from the pool."""
    rng = np.random.default_rng(context.parameters.seed)
    samples = read_samples(context.input("manifest"))
    return _save(context, select_uniformly(samples, budget=budget_of(context), rng=rng))


@stage_task("uniform_task_select")
def uniform_task_select(context: StageContext) -> StageSummary:
    """The same number from every task."""
    samples = read_samples(context.input("manifest"))
    return _save(context, select_uniform_task(samples, budget=budget_of(context), seed=context.parameters.seed))


@stage_task("full_select")
def full_select(context: StageContext) -> StageSummary:
    """The whole pool."""
    return _save(context, select_everything(read_samples(context.input("manifest"))))


def _save(context: StageContext, table: pa.Table) -> StageSummary:
    with fresh_directory(context.output) as directory:
        write_table(directory / "selection.parquet", table)
    picked = pc.sum(table["picked"]).as_py()
    return StageSummary(table.num_rows, f"{picked:,} of {table.num_rows:,} samples", (("picked", picked),))
