"""`presel export`: the selection for another trainer."""

from pathlib import Path, PurePosixPath

import pyarrow.compute as pc

from components.parameters.parameters import ParameterError
from components.schemas import TRAINING_SAMPLES
from components.storage import read_table
from components.training_set.export import Layout, export_samples
from tasks.platform.workspace import Workspace

IMAGES_FOLDER = PurePosixPath("images")


def export_from_workspace(
    workspace: Workspace,
    target: Path,
    *,
    layout: Layout,
    selection_only: bool,
    copy_images: bool,
    relative_to: Path | None,
    overwrite: bool,
) -> Path:
    """Write the training set of a finished run.

    Args:
        workspace: of the run.
        target: folder to write.
        layout: what the trainer reads.
        selection_only: leave the reference set out.
        copy_images: copy the images into the folder.
        relative_to: folder that image paths shall be relative to; None: absolute paths.
        overwrite: write into a folder that holds something already.

    Returns:
        The file that the trainer is pointed at.

    Raises:
        ParameterError: the run has no training set yet.
        ExportError: it cannot be written as asked.
    """
    file = workspace.artifact("training_set") / "samples.parquet"
    if not file.exists():
        raise ParameterError(f"workspace {workspace.root} has no training set yet; run `presel run` first")
    table = read_table(file, TRAINING_SAMPLES)
    if selection_only:
        table = table.filter(pc.field("origin") == "selection")
    return export_samples(
        table,
        target,
        layout=layout,
        relative_to=relative_to,
        copy_images=IMAGES_FOLDER if copy_images else None,
        overwrite=overwrite,
    )
