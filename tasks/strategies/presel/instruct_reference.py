"""Stage instruct_reference: instructions of the reference set."""

from pathlib import Path

from components.schemas import CHOSEN, INSTRUCTIONS
from components.storage import read_table, write_table
from tasks.bodies.buying import buy_for_samples, buying_stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.workspace import Workspace


def _nothing(directory: Path) -> None:
    write_table(directory / "instructions.parquet", INSTRUCTIONS.empty_table())


def _wanted(workspace: Workspace, _item: str) -> list[str]:
    reference = read_table(workspace.artifact("reference") / "reference.parquet", CHOSEN)
    return list(reference["sample_id"].to_pylist())


@buying_stage(
    "instructions of the reference set",
    reads=("inputs/instructions.json", "manifest/samples.parquet", "reference"),
    writes="instructions/reference",
    buys=_wanted,
    nothing=_nothing,
)
def instruct_reference(context: StageContext) -> StageSummary:
    """Buy those of the reference set."""
    return buy_for_samples(context, _wanted(context.workspace, context.item))
