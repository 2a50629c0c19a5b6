"""Stage baseline_instruct: instructions of a control."""

from components.schemas import CHOSEN
from components.storage import read_table
from tasks.bodies.buying import BUYING_MEMORY, INSTRUCTION_PARAMETERS, asked_resource, buy_for_samples
from tasks.platform.stage import StageContext, StageSummary, stage
from tasks.platform.stage_tables import purchase_tables
from tasks.platform.workspace import Workspace


def _wanted(workspace: Workspace, item: str) -> list[str]:
    chosen = read_table(workspace.artifact(f"baseline_selection/{item}") / "chosen.parquet", CHOSEN)
    return list(chosen["sample_id"].to_pylist())


@stage(
    "instructions of a control",
    reads=("baseline_selection/${item}", "inputs/instructions.json", "manifest/samples.parquet"),
    parameters=INSTRUCTION_PARAMETERS,
    writes="instructions/${item}",
    each_baseline=True,
    uses=asked_resource,
    memory=BUYING_MEMORY,
    buys=_wanted,
    tables=purchase_tables,
)
def baseline_instruct(context: StageContext) -> StageSummary:
    """Buy those of the control."""
    return buy_for_samples(context, _wanted(context.workspace, context.item))
