"""Options that several commands of `presel` take."""

import sys
from pathlib import Path
from typing import Annotated

import typer

# Paths on the command line are relative to where it was called; the commands work in the project's root.
try:
    CALLED_FROM = Path.cwd()
except FileNotFoundError:
    sys.exit("presel: the working directory has been deleted; change to another and call again")


def not_empty(name: str | None) -> str | None:
    """Refuse an empty name: it is a variable of a shell that is not set, not somebody's wish for the default."""
    if name is not None and not name.strip():
        raise typer.BadParameter("it is empty; name one, or leave it out for the default")
    return name


def known_engine(name: str | None) -> str | None:
    """Refuse an engine that there is not, or that is not installed."""
    from components.compute.ray_cluster import check_installed
    from components.parameters.compute import ENGINES

    if name is not None and name not in ENGINES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(ENGINES)}")
    if name == "ray":
        check_installed()
    return name


Overlays = Annotated[
    list[Path] | None,
    typer.Option(
        "--params",
        "-p",
        help="Parameter file laid over params.yaml; may be repeated.",
        exists=True,
        dir_okay=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="One parameter, e.g. `--set tuning.learning_rate=0.001`; may be repeated."),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        help="How images are chosen: `presel`, `tive`, `coincide`, `size_balanced`, `uniform_task`, `random` or `full`."
    ),
]
BudgetText = Annotated[
    str | None, typer.Option(help="Share (`15%`), count (`450`) or dollars (`$20`), reference set included.")
]
Provider = Annotated[
    str | None,
    typer.Option(help="Who writes instructions: `existing`, `openai`, `batch`, `local` or `people`."),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="Where the heavy stages compute: `local` or `ray`; default: compute.engine.", callback=known_engine
    ),
]
AnnotatePool = Annotated[
    bool,
    typer.Option("--annotate-pool", help="Pay for instructions of the whole pool where the strategy reads them all."),
]
Traceback = Annotated[bool, typer.Option(help="Print the traceback of an error here too.")]
RunName = Annotated[
    str | None, typer.Option("--name", help="Folder under `runs/`; default: from the overlays.", callback=not_empty)
]
ExistingRun = Annotated[
    str | None,
    typer.Option("--name", help="Which run under `runs/`; default: the project's own.", callback=not_empty),
]


def seen_from_root(paths: list[Path] | None) -> list[Path]:
    """Paths as they were meant where the command was called."""
    return [CALLED_FROM / path for path in paths or []]
