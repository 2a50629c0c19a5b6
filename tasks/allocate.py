"""Stage allocate: how many images each cluster gives."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.manifest import read_samples
from components.schemas import ALLOCATION, CHOSEN, CLUSTERS, IMPORTANCE
from components.selection.allocation import allocate as allocate_budget
from components.selection.budget import images_to_select, parse_budget, resolve_budget
from components.selection.cluster_cells import count_cluster_cells
from components.storage import fresh_directory, read_table, write_table
from tasks.stage import StageContext, StageSummary, stage_task


@stage_task("allocate")
def allocate(context: StageContext) -> StageSummary:
    """Spread what the budget leaves after the reference set over the clusters."""
    parameters = context.parameters
    clusters = read_table(context.input("clusters") / "clusters.parquet", CLUSTERS)
    reference = read_table(context.input("reference") / "reference.parquet", CHOSEN)
    importance = read_table(context.input("scores") / "importance.parquet", IMPORTANCE)
    price = parameters.instructions.price_per_instruction_usd
    pool_size = read_samples(context.input("manifest")).num_rows
    budget = resolve_budget(parse_budget(parameters.budget), pool_size=pool_size, dollars_per_image=price)
    is_reference = np.asarray(pc.is_in(clusters["sample_id"], value_set=reference["sample_id"].combine_chunks()))
    cells = count_cluster_cells(clusters["task"].to_pylist(), clusters["cluster"].to_numpy(), is_reference)
    weights = dict(zip(importance["task"].to_pylist(), importance["weight"].to_pylist(), strict=True))
    to_select = images_to_select(budget, reference.num_rows)
    result = allocate_budget(
        cells.tasks,
        cells.sizes,
        cells.available,
        weights,
        budget=to_select,
        profile=parameters.allocate.rounding,
    )
    columns = [cells.tasks, cells.clusters, cells.sizes, cells.available, result.shares, result.quotas]
    with fresh_directory(context.output) as directory:
        write_table(directory / "allocation.parquet", pa.table(columns, schema=ALLOCATION))
    unspent = f", {result.unspent} unspent: {result.unspent_reason}" if result.unspent else ""
    note = f"{result.quotas.sum():,} of {to_select:,} images over {len(cells.tasks):,} clusters{unspent}"
    metrics = (("budget", budget), ("to_select", to_select), ("unspent", result.unspent))
    return StageSummary(len(cells.tasks), note, metrics)
