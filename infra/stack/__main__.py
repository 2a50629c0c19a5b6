"""The stack's commands: `python -m infra.stack start`; `make stack` and its like call them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.environment import ProjectNotFoundError, find_project_root
from infra.stack import backup, lifecycle
from infra.stack.client import environment_file
from infra.stack.settings import StackError, StackSettings, settings_from_environment
from infra.stack.supervision import SERVICES, services_of
from infra.stack.upgrade import upgrade as upgrade_stack

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="PostgreSQL, object store, Prefect, MLflow and a worker as processes of this machine.",
)


@app.command()
def start() -> None:
    """Start what does not run, and say how to use it."""
    settings = _settings()
    lifecycle.start(settings, say=typer.echo)
    typer.echo(
        f"\nPrefect     {settings.prefect_url}/login   log in with presel:PASSWORD (line prefect= of "
        f"{settings.folder}/secrets.env)\n"
        f"MLflow      {settings.mlflow_url}   the same\n"
        f"use it      source {environment_file(settings)}\n"
        "            presel run --params conf/stack.yaml   (the ledger on PostgreSQL too)\n"
        f"logs        {settings.logs}\n"
        "stop        make stack-stop   (everything is kept)"
    )


@app.command()
def stop() -> None:
    """Stop everything; databases, objects and passwords are kept."""
    typer.echo("stopped" if lifecycle.stop(_settings()) else "nothing runs")


@app.command()
def status() -> None:
    """Say which services run; exit code 1 unless all do."""
    states = services_of(_settings())
    if states is None:
        typer.echo("nothing runs")
        raise typer.Exit(1)
    for name in SERVICES:
        typer.echo(f"{name:<12}{states[name]}")
    if set(states.values()) != {"RUNNING"}:
        raise typer.Exit(1)


@app.command()
def clean() -> None:
    """Remove databases, objects, passwords and logs of a stopped stack."""
    lifecycle.clean(_settings())


@app.command("backup")
def back_up(target: Annotated[Path, typer.Argument(help="Folder of all back-ups, best on another disk.")]) -> None:
    """Copy a running stack: databases, passwords, and the objects that are not there yet."""
    typer.echo(backup.back_up(_settings(), target.absolute()))


@app.command()
def restore(folder: Annotated[Path, typer.Argument(help="A back-up, named by its time.", exists=True)]) -> None:
    """Make a new stack of a back-up; start it afterwards."""
    backup.restore(_settings(), folder.absolute(), say=typer.echo)
    typer.echo("restored; start it with `make stack`")


@app.command()
def upgrade() -> None:
    """Bring the databases of a stopped stack up to the installed versions of MLflow and Prefect."""
    upgrade_stack(_settings(), say=typer.echo)


def _settings() -> StackSettings:
    return settings_from_environment(find_project_root(Path.cwd()))


def main() -> None:
    """Entry point: what the user can act on is one message, not a traceback."""
    try:
        app()
    except (StackError, ProjectNotFoundError) as error:
        sys.stderr.write(f"stack: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
