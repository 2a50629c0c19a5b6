"""Stage random_select: uniformly from the pool."""

import numpy as np

from components.pool.manifest import read_samples
from components.strategies.random.select import select_uniformly
from tasks.bodies.budget import BUDGET_PARAMETERS, budget_of
from tasks.bodies.tables import save_selection
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import selection_tables


@stage(
    "uniformly from the pool",
    reads=("manifest/samples.parquet",),
    parameters=(*BUDGET_PARAMETERS, "seed"),
    writes="selection",
    tables=selection_tables,
)
def random_select(context: StageContext) -> StageSummary:
    """Draw the budget."""
    rng = np.random.default_rng(context.parameters.seed)
    samples = read_samples(context.input("manifest"))
    return save_selection(context, select_uniformly(samples, budget=budget_of(context), rng=rng))


STAGES = (random_select,)
