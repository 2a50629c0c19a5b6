"""Stage allocate: how many images each cluster gives (Eq. 6)."""

import numpy as np
import pyarrow.compute as pc

from components.recuration.kept_quotas import kept_ids
from components.schemas import CHOSEN, CLUSTERS, IMPORTANCE, SELECTION
from components.selection.budget import images_to_select
from components.storage import read_table
from tasks.bodies.allocation import allocate_images, allocation_tables
from tasks.bodies.budget import BUDGET_PARAMETERS, budget_of
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


@stage(
    "images per cluster (Eq. 6)",
    reads=("clusters", "earlier/selection", "manifest/samples.parquet", "reference", "scores"),
    parameters=(*BUDGET_PARAMETERS, "allocate"),
    writes="allocation",
    tables=allocation_tables,
)
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
    return allocate_images(context, clusters, is_reference, weights, to_select, earlier)
