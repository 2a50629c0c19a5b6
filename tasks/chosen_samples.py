"""Whose instructions a stage wants."""

import pyarrow.compute as pc

from components.pool.manifest import read_samples
from components.schemas import CHOSEN, SELECTION
from components.storage import read_table
from tasks.platform.workspace import Workspace


def chosen_samples(workspace: Workspace, stage: str) -> list[str]:
    """Ids of the samples that one of the stages of `tasks.instruct` wants instructions of.

    Args:
        workspace: where the choice is.
        stage: name of the stage in dvc.yaml.
    """
    name, _, item = stage.partition("@")
    match name:
        case "instruct_reference":
            chosen = read_table(workspace.artifact("reference") / "reference.parquet", CHOSEN)
        case "instruct_pool":
            chosen = read_samples(workspace.artifact("manifest"))
        case "instruct_selection":
            selection = read_table(workspace.artifact("selection") / "selection.parquet", SELECTION)
            chosen = selection.filter(pc.field("picked"))
        case "baseline_instruct":
            chosen = read_table(workspace.artifact(f"baseline_selection/{item}") / "chosen.parquet", CHOSEN)
        case _:
            raise KeyError(f"stage {stage} buys no instructions")
    return list(chosen["sample_id"].to_pylist())
