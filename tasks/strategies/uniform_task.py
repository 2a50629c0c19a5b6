"""Stage uniform_task_select: the same number from every task, at random."""

from components.pool.manifest import read_samples
from components.strategies.uniform_task.select import select_uniform_task
from tasks.bodies.budget import BUDGET_PARAMETERS, budget_of
from tasks.bodies.tables import save_selection
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import selection_tables


@stage(
    "the same number from every task, at random",
    reads=("manifest/samples.parquet",),
    parameters=(*BUDGET_PARAMETERS, "seed"),
    writes="selection",
    tables=selection_tables,
)
def uniform_task_select(context: StageContext) -> StageSummary:
    """Draw every task's quota."""
    samples = read_samples(context.input("manifest"))
    return save_selection(
        context, select_uniform_task(samples, budget=budget_of(context), seed=context.parameters.seed)
    )


STAGES = (uniform_task_select,)
