"""Stage instruct_selection: instructions of the picked images."""

import pyarrow.compute as pc

from components.schemas import SELECTION
from components.storage import read_table
from tasks.bodies.buying import BUYING_MEMORY, INSTRUCTION_PARAMETERS, asked_resource, buy_for_samples
from tasks.platform.stage import StageContext, StageSummary, stage
from tasks.platform.stage_tables import purchase_tables
from tasks.platform.workspace import Workspace


def _wanted(workspace: Workspace, _item: str) -> list[str]:
    selection = read_table(workspace.artifact("selection") / "selection.parquet", SELECTION)
    return list(selection.filter(pc.field("picked"))["sample_id"].to_pylist())


@stage(
    "instructions of the selected images",
    reads=("inputs/instructions.json", "manifest/samples.parquet", "selection"),
    parameters=INSTRUCTION_PARAMETERS,
    writes="instructions/selection",
    uses=asked_resource,
    memory=BUYING_MEMORY,
    buys=_wanted,
    tables=purchase_tables,
)
def instruct_selection(context: StageContext) -> StageSummary:
    """Buy those of the picked images."""
    return buy_for_samples(context, _wanted(context.workspace, context.item))
