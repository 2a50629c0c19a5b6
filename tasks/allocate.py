"""Stages allocate: how many images each cluster gives."""

import functools
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.recuration.kept_quotas import count_kept, kept_ids, kept_quotas
from components.schemas import ALLOCATION, CHOSEN, CLUSTERS, IMPORTANCE, SELECTION
from components.selection.allocation import allocate as allocate_budget
from components.selection.budget import images_to_select
from components.selection.cluster_cells import count_cluster_cells
from components.storage import fresh_directory, read_table, write_table
from tasks.budget import budget_of
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("allocate")
def allocate(context: StageContext) -> StageSummary:
    """Spread what the budget leaves after the reference set over the clusters."""
    clusters = read_table(context.input("clusters") / "clusters.parquet", CLUSTERS)
    reference = read_table(context.input("reference") / "reference.parquet", CHOSEN)
    importance = read_table(context.input("scores") / "importance.parquet", IMPORTANCE)
    is_reference = np.asarray(pc.is_in(clusters["sample_id"], value_set=reference["sample_id"].combine_chunks()))
    weights = dict(zip(importance["task"].to_pylist(), importance["weight"].to_pylist(), strict=True))
    earlier = kept_ids(read_table(context.input("earlier/selection") / "selection.parquet", SELECTION))
    # What was bought before stays, also where the pool has shrunk until the budget is less than that.
    used_up = len(earlier) > 0 and budget_of(context) <= reference.num_rows
    to_select = 0 if used_up else images_to_select(budget_of(context), reference.num_rows)
    return _allocate(context, clusters, is_reference, weights, to_select, earlier)


@stage_task("size_balanced_allocate")
def size_balanced_allocate(context: StageContext) -> StageSummary:
    """Spread the whole budget over the clusters by size: a task's weight is its share of the pool."""
    clusters = read_table(context.input("clusters") / "clusters.parquet", CLUSTERS)
    counts = Counter(clusters["task"].to_pylist())
    weights = {task: count / clusters.num_rows for task, count in counts.items()}
    nowhere = np.zeros(clusters.num_rows, dtype=bool)
    return _allocate(context, clusters, nowhere, weights, budget_of(context), pa.array([], pa.string()))


def _allocate(
    context: StageContext,
    clusters: pa.Table,
    is_reference: NDArray[np.bool_],
    weights: dict[str, float],
    to_select: int,
    earlier: pa.Array,
) -> StageSummary:
    cells = count_cluster_cells(clusters["task"].to_pylist(), clusters["cluster"].to_numpy(), is_reference)
    spread = functools.partial(
        allocate_budget,
        cells.tasks,
        cells.sizes,
        cells.available,
        weights,
        budget=to_select,
        profile=context.parameters.allocate.rounding,
    )
    kept = count_kept(clusters, earlier, is_reference, cells)
    result, unbound = spread(kept=kept), spread()
    quotas = kept_quotas(cells, kept, unbound.quotas)
    columns = [cells.tasks, cells.clusters, cells.sizes, cells.available, result.shares, result.quotas]
    with fresh_directory(context.output) as directory:
        write_table(directory / "allocation.parquet", pa.table(columns, schema=ALLOCATION))
        write_table(directory / "kept.parquet", quotas)
    over = pc.sum(quotas["over"]).as_py() or 0
    notes = [f"{result.quotas.sum():,} of {to_select:,} images over {len(cells.tasks):,} clusters"]
    notes += [f"{kept.sum():,} kept ({over:,} over their clusters' quotas)"] if kept.any() else []
    notes += [f"{result.unspent} unspent: {result.unspent_reason}"] if result.unspent else []
    metrics = (("to_select", to_select), ("unspent", result.unspent), ("kept", kept.sum()), ("over_quota", over))
    return StageSummary(len(cells.tasks), ", ".join(notes), tuple((name, float(value)) for name, value in metrics))
