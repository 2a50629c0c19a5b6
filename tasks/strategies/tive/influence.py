"""Stage influence: influence of every sample, difficulty and quota of every task."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.models.features.feature_store import read_norms, scan_features, stored_samples
from components.schemas import CHOSEN, DIFFICULTY, INSTRUCTIONS
from components.storage import fresh_directory, read_table, write_table
from components.strategies.tive.influence import instance_influence
from components.strategies.tive.parameters import TiveParameters
from components.strategies.tive.select import influence_tables
from tasks.bodies.budget import BUDGET_PARAMETERS, budget_of
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable


def _tables(directory: Path) -> list[StageTable]:
    difficulty = read_table(directory / "difficulty.parquet", DIFFICULTY)
    rows = tuple((row["task"], row["samples"], row["difficulty"], row["quota"]) for row in difficulty.to_pylist())
    columns = ("task", "samples", "difficulty", "quota")
    return [StageTable("difficulty", "Difficulty of the tasks", columns, rows, followed=True)]


@stage(
    "influence of every sample, difficulty and quota of every task",
    reads=("gradients", "instructions/pool", "manifest/samples.parquet"),
    parameters=(*BUDGET_PARAMETERS, "tive.sampling_q", "tive.self_influence", "tive.rounding"),
    writes="influence",
    tables=_tables,
)
def influence(context: StageContext) -> StageSummary:
    """Two passes over the gradients."""
    parameters, store = context.parameters.section(TiveParameters), context.input("gradients")
    pool = read_table(context.input("instructions/pool") / "instructions.parquet", INSTRUCTIONS)
    samples = pool.select(CHOSEN.names).filter(pc.is_in(pool["sample_id"], value_set=stored_samples(store)))
    ids = samples["sample_id"].combine_chunks()
    task_of_row = np.unique(samples["task"].to_pylist(), return_inverse=True)[1]  # (N,)

    def load_blocks() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for block_ids, gradients in scan_features(store):
            yield np.asarray(pc.index_in(block_ids, value_set=ids), dtype=np.int64), gradients

    tables = influence_tables(
        samples,
        read_norms(store, ids.to_pylist()),
        instance_influence(load_blocks, task_of_row, engine=context.engine),
        budget=budget_of(context),
        q=parameters.sampling_q,
        self_influence=parameters.self_influence,
        rounding=parameters.rounding,
    )
    with fresh_directory(context.output) as directory:
        write_table(directory / "influence.parquet", tables.influence)
        write_table(directory / "difficulty.parquet", tables.difficulty)
    return _summary(tables.influence, tables.difficulty)


def _summary(influence: pa.Table, difficulty: pa.Table) -> StageSummary:
    rows = difficulty.to_pylist()
    quotas = ", ".join(f"{row['task']} {row['quota']:,}" for row in rows)
    metrics = [(f"{name}/{row['task']}", float(row[name])) for row in rows for name in ("difficulty", "quota")]
    mean = pc.mean(influence["influence"]).as_py()
    note = f"{influence.num_rows:,} samples, mean influence {mean:.3f}; quotas: {quotas}"
    return StageSummary(influence.num_rows, note, (("mean_influence", mean), *metrics))
