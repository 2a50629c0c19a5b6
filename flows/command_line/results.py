"""The commands over what a run made, and one that divides a pool: explain, report, export, hold-out."""

from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from flows.command_line.options import CALLED_FROM, ExistingRun


class ExportFormat(StrEnum):
    """Formats of `presel export`."""

    LLAVA = "llava"
    SHAREGPT = "sharegpt"
    MESSAGES = "messages"


def add_result_commands(app: typer.Typer) -> None:
    """Make the commands part of `presel`."""
    for command in (explain, report, export, hold_out):
        app.command()(command)


def explain(
    sample: Annotated[
        str,
        typer.Argument(
            help="A sample id, a record id or an image path of the pool, or the start of an image's sha256."
        ),
    ],
    name: ExistingRun = None,
) -> None:
    """Say why a sample was or was not picked."""
    from flows.explain import explain_in_workspace
    from flows.prepare_workspace import find_workspace

    typer.echo(explain_in_workspace(find_workspace(name), sample))


def report(name: ExistingRun = None) -> None:
    """Write the report of a run again from its artifacts, and say where it is."""
    from flows.prepare_workspace import find_workspace, update_pipeline
    from tasks.report import report as report_stage

    workspace = find_workspace(name)
    update_pipeline(workspace)
    report_stage.run_again(workspace, "report")
    typer.echo((workspace.artifact("report") / "report.html").resolve())


def export(
    target: Annotated[Path, typer.Argument(help="Folder to write; must be empty or new.")],
    layout: Annotated[ExportFormat, typer.Option("--format", help="What the trainer reads.")] = ExportFormat.LLAVA,
    selection_only: Annotated[bool, typer.Option(help="Leave the reference set out.")] = False,
    copy_images: Annotated[
        bool, typer.Option(help="Copy the images into the folder, which can then be moved anywhere.")
    ] = False,
    relative_to: Annotated[
        Path | None, typer.Option(help="Folder that image paths shall be relative to; default: absolute paths.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Write into a folder that holds something already.")] = False,
    name: ExistingRun = None,
) -> None:
    """Write the training set (reference and selection) for another trainer."""
    import pyarrow.compute as pc

    from components.parameters.parameters import ParameterError
    from components.schemas import TRAINING_SAMPLES
    from components.storage import read_table
    from components.training_set.export import export_samples
    from flows.prepare_workspace import find_workspace

    workspace = find_workspace(name)
    file = workspace.artifact("training_set") / "samples.parquet"
    if not file.exists():
        raise ParameterError(f"workspace {workspace.root} has no training set yet; run `presel run` first")
    table = read_table(file, TRAINING_SAMPLES)
    if selection_only:
        table = table.filter(pc.field("origin") == "selection")
    written = export_samples(
        table,
        CALLED_FROM / target,
        layout=layout.value,
        relative_to=None if relative_to is None else CALLED_FROM / relative_to,
        copy_images=PurePosixPath("images") if copy_images else None,
        overwrite=overwrite,
    )
    typer.echo(written)


def hold_out(
    pool: Annotated[Path, typer.Argument(help="LLaVA JSON of the pool.", exists=True)],
    annotations: Annotated[Path, typer.Argument(help="LLaVA JSON with the conversations.", exists=True)],
    target: Annotated[Path, typer.Argument(help="Folder for pool.json and one benchmark set per task.")],
    share: Annotated[float, typer.Option(help="Of the images of every task.", min=0.0, max=0.99)] = 0.2,
    seed: Annotated[int, typer.Option(help="Same seed, same division.")] = 17,
    task: Annotated[
        str, typer.Option(help="How a record's task is found, written as `sources.task` in params.yaml.")
    ] = "{field: task}",
    overwrite: Annotated[bool, typer.Option(help="Write into a folder that holds something already.")] = False,
) -> None:
    """Hold a share of an annotated pool out of curation, as benchmark sets."""
    from components.benchmark.hold_out import hold_out_benchmark, undivided_records
    from components.parameters.reading import parse_task_rule
    from components.text import shortened

    rule, here = parse_task_rule(task), CALLED_FROM
    divided = hold_out_benchmark(
        here / pool, here / annotations, here / target, share=share, seed=seed, rule=rule, overwrite=overwrite
    )
    for item in undivided_records(here / pool, rule=rule):
        typer.echo(f"{item.count:,} records stay in the pool undivided, ingest will not use them: {item.reason}")
    for one in divided:
        name = shortened(one.task)
        typer.echo(f"{name}: {one.held_out:,} held out in {one.file}, {one.kept:,} left in the pool")
