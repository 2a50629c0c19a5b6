"""Stage size_balanced_allocate: images per cluster, in proportion to its size."""

from collections import Counter

import numpy as np
import pyarrow as pa

from components.schemas import CLUSTERS
from components.storage import read_table
from tasks.bodies.allocation import allocate_images, allocation_tables
from tasks.bodies.budget import BUDGET_PARAMETERS, budget_of
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


@stage(
    "images per cluster, in proportion to its size",
    reads=("clusters", "manifest/samples.parquet"),
    parameters=(*BUDGET_PARAMETERS, "allocate"),
    writes="allocation",
    tables=allocation_tables,
)
def size_balanced_allocate(context: StageContext) -> StageSummary:
    """Spread the whole budget over the clusters by size: a task's weight is its share of the pool."""
    clusters = read_table(context.input("clusters") / "clusters.parquet", CLUSTERS)
    counts = Counter(clusters["task"].to_pylist())
    weights = {task: count / clusters.num_rows for task, count in counts.items()}
    nowhere = np.zeros(clusters.num_rows, dtype=bool)
    return allocate_images(context, clusters, nowhere, weights, budget_of(context), pa.array([], pa.string()))
