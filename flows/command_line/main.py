"""The `presel` command."""

import os
import re
import sqlite3
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from components.errors import UserError
from flows.command_line.deploy import deploy, worker
from flows.command_line.instructions import annotate, batches
from flows.command_line.lineage import add_lineage_commands
from flows.command_line.options import (
    AnnotatePool,
    BudgetText,
    Engine,
    Overlays,
    Provider,
    RunName,
    Settings,
    Strategy,
    Traceback,
    seen_from_root,
)
from flows.command_line.results import add_result_commands
from flows.environment import check_code, configure_environment, find_project_root
from flows.settings import prefect_fault

app = typer.Typer(
    name="presel",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Decide which images of a large pool deserve an instruction, before any instruction is paid for.\n\n"
    "Exit codes: 0 done, 1 a stage failed (finished stages are kept; run again to continue) or not all was taken in, "
    "2 the command or the parameters are wrong, 3 a purchase was declined.",
)


@app.callback()
def _in_project() -> None:
    root = find_project_root(Path.cwd())
    check_code(root)
    configure_environment(root)


@app.command()
def run(
    params: Overlays = None,
    strategy: Strategy = None,
    budget: BudgetText = None,
    provider: Provider = None,
    settings: Settings = None,
    name: RunName = None,
    annotate_pool: AnnotatePool = False,
    engine: Engine = None,
    refresh: Annotated[bool, typer.Option(help="Run every stage, also those that are up to date.")] = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Forget what earlier curations picked (`presel recurate` keeps it).")
    ] = False,
    traceback: Traceback = False,
) -> None:
    """Run the pipeline: every stage that is not up to date, then the report and the registered model."""
    from flows.prepare_workspace import chosen_settings, prepare_workspace

    workspace = prepare_workspace(
        overlays=seen_from_root(params),
        settings=chosen_settings(settings or (), strategy=strategy, budget=budget, provider=provider),
        name=name,
    )
    _curate(
        workspace.root,
        refresh=refresh,
        annotate_pool=annotate_pool,
        from_scratch=from_scratch,
        engine=engine,
        traceback=traceback,
    )


@app.command()
def recurate(
    params: Overlays = None,
    budget: BudgetText = None,
    provider: Provider = None,
    settings: Settings = None,
    name: RunName = None,
    engine: Engine = None,
    traceback: Traceback = False,
) -> None:
    """The pool has changed: keep what was picked and bought, and pick and buy the difference."""
    from flows.form import AS_CONFIGURED
    from flows.prepare_workspace import chosen_settings, prepare_workspace
    from flows.recurate import UNCHANGED, check_recuration
    from flows.recurate import recurate as recurate_flow

    workspace = prepare_workspace(
        overlays=seen_from_root(params),
        settings=chosen_settings(settings or (), budget=budget, provider=provider),
        name=name,
    )
    check_recuration(workspace)
    _prepare_console(traceback=traceback)
    state = recurate_flow(workspace.root, engine=engine or AS_CONFIGURED, return_state=True)
    if state.name == UNCHANGED:
        typer.echo(state.message)
        return
    _show(state)


@app.command()
def demo() -> None:
    """Draw the demo pool (once), then run the pipeline on it."""
    from demo.write_pool import write_demo_pool

    write_demo_pool(Path("data/demo"), seed=17)
    _curate(".", refresh=False)


@app.command()
def plan(
    params: Overlays = None,
    strategy: Strategy = None,
    budget: BudgetText = None,
    provider: Provider = None,
    settings: Settings = None,
    name: RunName = None,
) -> None:
    """Say what a run would do and buy, per task, without doing it."""
    from flows.command_line.show import show_plan
    from flows.plan import plan_resolved
    from flows.prepare_workspace import chosen_settings, resolve_workspace

    asked = chosen_settings(settings or (), strategy=strategy, budget=budget, provider=provider)
    show_plan(*plan_resolved(resolve_workspace(overlays=seen_from_root(params), settings=asked, name=name)))


@app.command()
def compare(
    strategies: Annotated[
        str, typer.Option(help="Names with commas between them; `full` is added unless --no-full is given.")
    ] = "presel,random",
    budget: BudgetText = None,
    seeds: Annotated[int, typer.Option(help="Runs per strategy, with seed, seed + 1, ...", min=1)] = 1,
    full: Annotated[bool, typer.Option(help="Also tune on the whole pool, which *Rel.* is measured against.")] = True,
    params: Overlays = None,
    settings: Settings = None,
    name: Annotated[str, typer.Option(help="Folder under `runs/` for the table and the page.")] = "compare",
    annotate_pool: AnnotatePool = False,
    engine: Engine = None,
    traceback: Traceback = False,
) -> None:
    """Run several strategies over one pool at one budget, and put them side by side."""
    from components.strategies.load import strategies_that
    from flows.command_line.show import show_comparison
    from flows.compare import compare as compare_strategies
    from flows.compare import plan_comparison
    from flows.comparison import ComparisonOutcome
    from flows.form import AS_CONFIGURED

    names = [part.strip() for part in strategies.split(",") if part.strip()]
    names += [yardstick for yardstick in strategies_that("takes_whole_pool") if full and yardstick not in names]
    plan_comparison(
        names, budget=budget, seeds=seeds, overlays=seen_from_root(params), settings=list(settings or []), name=name
    )  # what is wrong with the command is said before anything starts
    _prepare_console(traceback=traceback)
    state = compare_strategies(
        tuple(names),
        budget=budget or "",
        seeds=seeds,
        overlays=tuple(str(path) for path in seen_from_root(params)),
        settings=tuple(settings or ()),
        name=name,
        annotate_pool=annotate_pool,
        engine=engine or AS_CONFIGURED,
        return_state=True,
    )
    outcome = _result(state)
    assert isinstance(outcome, ComparisonOutcome)
    show_comparison(outcome)


@app.command()
def sync(
    discard: Annotated[bool, typer.Option("--discard", help="Delete what MLflow refused before.")] = False,
    discard_for: Annotated[
        str | None, typer.Option(help="Delete what waits for this server, named as `presel sync` names it.")
    ] = None,
) -> None:
    """Tell MLflow what waits in the journal (.presel/spool); every run does so too."""
    from flows.sync import sync as send_kept

    said, done = send_kept(discard=discard, discard_for=discard_for)
    typer.echo(said)
    if not done:
        raise typer.Exit(1)


@app.command()
def ui(
    prefect_port: Annotated[int, typer.Option(help="Port of the Prefect UI.", min=1, max=65535)] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535)] = 5000,
) -> None:
    """Serve the Prefect and MLflow pages of this project's runs on 127.0.0.1 until interrupted."""
    from flows.serve_ui import serve_ui

    if prefect_port == mlflow_port:
        raise typer.BadParameter(f"both servers cannot have port {mlflow_port}: give one of them another")
    serve_ui(prefect_port=prefect_port, mlflow_port=mlflow_port)


@app.command()
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


add_result_commands(app)
app.add_typer(annotate, name="annotate")
app.add_typer(batches, name="batches")
add_lineage_commands(app)
app.command()(deploy)
app.command()(worker)


def _curate(
    workspace: str,
    *,
    refresh: bool,
    annotate_pool: bool = False,
    from_scratch: bool = False,
    engine: str | None = None,
    traceback: bool = False,
) -> None:
    from flows.curate import curate
    from flows.form import AS_CONFIGURED

    _prepare_console(traceback=traceback)
    state = curate(
        workspace,
        refresh=refresh,
        annotate_pool=annotate_pool,
        from_scratch=from_scratch,
        engine=engine or AS_CONFIGURED,
        return_state=True,
    )
    _show(state)


def _show(state: Any) -> None:
    """Print what a curation ended with."""
    from flows.command_line.show import show_outcome
    from flows.outcome import CurationOutcome

    outcome = _result(state)
    assert isinstance(outcome, CurationOutcome)
    show_outcome(outcome)


def _prepare_console(*, traceback: bool) -> None:
    """Make the terminal fit for a person; to be called when Prefect is imported and its log handlers are there."""
    from flows.command_line.console import hide_tracebacks
    from flows.embedded_server import end_on_signals, end_orphaned_servers, name_server_after_this_process
    from tasks.platform.prefect_server import check_server

    check_server()
    end_on_signals()
    end_orphaned_servers(os.environ["PREFECT_HOME"])
    name_server_after_this_process()
    if not traceback:
        hide_tracebacks()


def _result(state: Any) -> object:
    """What a flow returned; a failure ends the command with its message."""
    if state.is_cancelled():
        sys.stderr.write(f"presel: {state.message}\n")
        raise typer.Exit(3)
    if state.is_failed():
        said = re.sub(r"^Flow run encountered an exception: \w+: ", "", state.message or "")
        sys.stderr.write(f"presel: {said}\nFinished stages are kept; the same command continues from here.\n")
        raise typer.Exit(1)
    return state.result()


class ArgumentTextError(UserError, ValueError):
    """An argument of the command is not text."""


def _check_arguments(arguments: list[str]) -> None:
    """Refuse bytes that are no text: tables and databases, where names go, cannot hold them."""
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            raise ArgumentTextError(f"the argument {argument!a} is not text in UTF-8") from None


def _open_closed_streams() -> None:
    """Put nothing in the place of a standard stream that is closed: else the next file would get its number.

    What is said would be written into that file, a database perhaps.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.dup(1), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.dup(2), "w")


def _advice(error: OSError) -> str:
    from tasks.platform.file_errors import file_advice

    advice = file_advice(error)
    return f". {advice}" if advice else ""


def main() -> None:
    """Entry point: what the user can act on is one message, not a traceback."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that the terminal's encoding lacks must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        _check_arguments(sys.argv)
        app()
    except UserError as error:
        sys.stderr.write(f"presel: {error}\n")
        sys.exit(2)
    except ValueError as error:  # Prefect reads its settings when a command imports it
        fault = prefect_fault(error)
        if not fault:
            raise
        sys.stderr.write(f"presel: {fault}\n")
        sys.exit(2)
    except OSError as error:  # a disk that is full or gone, a file that may not be read
        if "--traceback" in sys.argv:
            raise
        sys.stderr.write(f"presel: {error}{_advice(error)}\n")
        sys.exit(1)
    except sqlite3.Error as error:
        if "--traceback" in sys.argv:
            raise
        sys.stderr.write(
            f"presel: a database in .presel cannot be used ({error}): see that the disk has room and that user "
            f"{os.geteuid()} may write there; .presel/dvc/site, where DVC keeps notes alone, may be deleted\n"
        )
        sys.exit(1)
    finally:
        if "flows.embedded_server" in sys.modules:
            from flows.embedded_server import leave_if_interrupted

            leave_if_interrupted()


if __name__ == "__main__":
    main()
