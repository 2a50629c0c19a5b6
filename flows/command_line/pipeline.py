"""`presel pipeline`: dvc.yaml, made from what the stages declare."""

from typing import Annotated

import typer


def pipeline(
    write: Annotated[bool, typer.Option("--write", help="Write it to dvc.yaml instead of printing it.")] = False,
) -> None:
    """Print the pipeline of params.yaml's strategy as dvc.yaml has it; with --write bring dvc.yaml up to date."""
    from flows.pipeline import pipeline_text
    from flows.prepare_workspace import update_pipeline
    from tasks.platform.workspace import Workspace

    place = Workspace(".")
    if write:
        update_pipeline(place)
    else:
        typer.echo(pipeline_text(place.parameters().strategy), nl=False)
