"""The stages that buy instructions of the selection, of a control and of the whole pool."""

import pyarrow.compute as pc

from components.pool.manifest import read_samples
from components.schemas import CHOSEN, SELECTION
from components.storage import read_table
from tasks.bodies.buying import buy_for_samples, buying_stage, refuse_to_buy
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.workspace import Workspace


def _of_selection(workspace: Workspace, _item: str) -> list[str]:
    selection = read_table(workspace.artifact("selection") / "selection.parquet", SELECTION)
    return list(selection.filter(pc.field("picked"))["sample_id"].to_pylist())


@buying_stage(
    "instructions of the selected images",
    reads=("inputs/instructions.json", "manifest/samples.parquet", "selection"),
    writes="instructions/selection",
    buys=_of_selection,
)
def instruct_selection(context: StageContext) -> StageSummary:
    """Buy those of the picked images."""
    return buy_for_samples(context, _of_selection(context.workspace, context.item))


def _of_pool(workspace: Workspace, _item: str) -> list[str]:
    return list(read_samples(workspace.artifact("manifest"))["sample_id"].to_pylist())


@buying_stage(
    "instructions of the whole pool",
    reads=("inputs/instructions.json", "manifest/images", "manifest/samples.parquet"),
    writes="instructions/pool",
    buys=_of_pool,
    buys_when_told=True,
)
def instruct_pool(context: StageContext) -> StageSummary:
    """Buy those of the pool, where a person said that it may."""
    if not context.annotate_pool:
        refuse_to_buy(context)
    return buy_for_samples(context, _of_pool(context.workspace, context.item))


def _of_control(workspace: Workspace, item: str) -> list[str]:
    chosen = read_table(workspace.artifact(f"baseline_selection/{item}") / "chosen.parquet", CHOSEN)
    return list(chosen["sample_id"].to_pylist())


@buying_stage(
    "instructions of a control",
    reads=("baseline_selection/${item}", "inputs/instructions.json", "manifest/samples.parquet"),
    writes="instructions/${item}",
    each_baseline=True,
    buys=_of_control,
)
def baseline_instruct(context: StageContext) -> StageSummary:
    """Buy those of the control."""
    return buy_for_samples(context, _of_control(context.workspace, context.item))
