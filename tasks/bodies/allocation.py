"""How many images each cluster gives: what the strategies that pick within clusters have in common."""

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.recuration.kept_quotas import count_kept, kept_quotas
from components.schemas import ALLOCATION
from components.selection.allocation import allocate as allocate_budget
from components.selection.cluster_cells import count_cluster_cells
from components.storage import fresh_directory, read_table, write_table
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable


def allocation_tables(directory: Path) -> list[StageTable]:
    """What each task gives."""
    allocation = read_table(directory / "allocation.parquet", ALLOCATION)
    sums = [("size", "sum"), ("available", "sum"), ("quota", "sum")]
    summed = allocation.group_by("task").aggregate(sums).sort_by("task")
    rows = tuple((row["task"], row["size_sum"], row["available_sum"], row["quota_sum"]) for row in summed.to_pylist())
    columns = ("task", "images", "without the reference set", "to pick")
    return [StageTable("allocation", "Allocation", columns, rows, followed=True)]


def allocate_images(
    context: StageContext,
    clusters: pa.Table,
    is_reference: NDArray[np.bool_],
    weights: dict[str, float],
    to_select: int,
    earlier: pa.Array,
) -> StageSummary:
    """Spread the images to pick over the clusters.

    Args:
        context: of the stage.
        clusters: columns of `components.schemas.CLUSTERS`.
        is_reference: of each row, whether it is of the reference set.
        weights: of the tasks, summing to 1.
        to_select: images to pick.
        earlier: ids of the samples that an earlier curation picked.
    """
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
