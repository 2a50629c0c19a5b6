"""Stage instruct_pool: instructions of the whole pool, for the strategies that read them all."""

from components.pool.manifest import read_samples
from tasks.bodies.buying import BUYING_MEMORY, INSTRUCTION_PARAMETERS, asked_resource, buy_for_samples, refuse_to_buy
from tasks.platform.stage import StageContext, StageSummary, stage
from tasks.platform.stage_tables import purchase_tables
from tasks.platform.workspace import Workspace


def _wanted(workspace: Workspace, _item: str) -> list[str]:
    return list(read_samples(workspace.artifact("manifest"))["sample_id"].to_pylist())


@stage(
    "instructions of the whole pool",
    reads=("inputs/instructions.json", "manifest/images", "manifest/samples.parquet"),
    parameters=INSTRUCTION_PARAMETERS,
    writes="instructions/pool",
    uses=asked_resource,
    memory=BUYING_MEMORY,
    buys=_wanted,
    buys_when_told=True,
    tables=purchase_tables,
)
def instruct_pool(context: StageContext) -> StageSummary:
    """Buy those of the pool, where a person said that it may."""
    if not context.annotate_pool:
        refuse_to_buy(context)
    return buy_for_samples(context, _wanted(context.workspace, context.item))
