"""The commands `presel annotate export` and `presel annotate import`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import CALLED_FROM, ExistingRun

annotate = typer.Typer(no_args_is_help=True, help="Have people write the instructions of the chosen images.")

# Entries that a person may want to do something about, and what is said where the import gives no reason.
_TO_LOOK_AT = {
    "rule_broken": "",
    "answered_differently": "another answer was imported before and is kept; an answer is final, as a bought one is",
    "unknown_request": "this request_id was never handed out through this ledger",
    "quarantined": "the request was given up before",
    "in_use": "another import has it in hand; import the file again when that has ended",
}


@annotate.command("export")
def export_tasks(
    folder: Annotated[Path, typer.Argument(help="Folder to write; must be empty or new.")],
    name: ExistingRun = None,
    again: Annotated[bool, typer.Option(help="Take what is out already back and hand it out again.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Write into a folder that holds something already.")] = False,
) -> None:
    """Write what is to be labelled: for Label Studio, and as a table for a spreadsheet."""
    from flows.annotate import export_for_annotation
    from flows.prepare_workspace import find_workspace, update_pipeline

    workspace = find_workspace(name)
    update_pipeline(workspace)
    done = export_for_annotation(workspace, CALLED_FROM / folder, again=again, overwrite=overwrite)
    if done.out:
        typer.echo(f"{done.out:,} are out already ({', '.join(done.out_in)}); --again hands them out again")
    if done.tasks is None:
        typer.echo(f"nothing more to hand out; {done.settled:,} instructions are there already")
        return
    for dropped in (*done.tasks.dropped, *done.tasks.left_out):
        typer.echo(f"left out: {dropped.sample_id}: {dropped.reason}: {dropped.detail}")
    typer.echo(f"{done.tasks.count:,} to write in {done.tasks.table.parent}; its README.txt says how")


@annotate.command("import")
def import_answers(
    file: Annotated[Path, typer.Argument(help="Label Studio's JSON export, or the filled-in table.", exists=True)],
    name: ExistingRun = None,
) -> None:
    """Take what people wrote into the ledger; what breaks a rule is listed and stays open."""
    from flows.annotate import import_from_annotation
    from flows.prepare_workspace import find_workspace

    result = import_from_annotation(find_workspace(name), CALLED_FROM / file)
    for entry in result.entries:
        if entry.verdict in _TO_LOOK_AT:
            said = ": ".join(part for part in (entry.reason or _TO_LOOK_AT[entry.verdict], entry.detail) if part)
            typer.echo(f"{entry.where}: {said}")
    typer.echo(", ".join(f"{count.reason} {count.count:,}" for count in result.counts) or "the file holds nothing")
    typer.echo(
        f"{result.imported:,} instructions booked at ${result.price_usd:,.2f}; {result.still_out:,} are still out"
    )
    if not result.still_out:
        typer.echo("Run presel again: it goes on from here.")
