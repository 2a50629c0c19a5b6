"""The commands over instructions that are out: `presel annotate` (with people), `presel batches` (at an endpoint)."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import CALLED_FROM, ExistingRun

annotate = typer.Typer(no_args_is_help=True, help="Have people write the instructions of the chosen images.")

# Entries that a person may want to do something about, and what is said where the import gives no reason.
_TO_LOOK_AT = {
    "unreadable": "",
    "rule_broken": "",
    "answered_differently": "another answer was imported before and is kept; an answer is final, as a bought one is",
    "unknown_request": "this request_id was never handed out through this ledger",
    "quarantined": "the request was given up before",
    "in_use": "another import has it in hand; import the file again when that has ended",
}
batches = typer.Typer(no_args_is_help=True, help="See what is out in batches, and give up what cannot be collected.")


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
    """Take what people wrote into the ledger; what cannot be taken is listed, stays open, and makes the exit code 1."""
    from flows.annotate import import_from_annotation
    from flows.prepare_workspace import find_workspace

    result = import_from_annotation(find_workspace(name), CALLED_FROM / file)
    not_taken = [entry for entry in result.entries if entry.verdict in _TO_LOOK_AT]
    for entry in not_taken:
        said = ": ".join(part for part in (entry.reason or _TO_LOOK_AT[entry.verdict], entry.detail) if part)
        typer.echo(f"{file}, {entry.where}: {said}")
    typer.echo(", ".join(f"{count.reason} {count.count:,}" for count in result.counts) or "the file holds nothing")
    typer.echo(
        f"{result.imported:,} instructions booked at ${result.price_usd:,.2f}; {result.still_out:,} are still out"
    )
    if not result.still_out:
        typer.echo("Run presel again: it goes on from here.")
    if not_taken:
        typer.echo(f"presel: {len(not_taken):,} entries of {file} were not taken in; they are named above", err=True)
        raise typer.Exit(1)


@batches.command("list")
def list_batches(name: ExistingRun = None) -> None:
    """List the batches whose results have not been collected."""
    from components.instructions.ledger.batches import batches_out
    from components.instructions.ledger.ledger import open_ledger
    from components.text import dollars
    from flows.prepare_workspace import find_workspace

    with open_ledger(find_workspace(name).parameters().instructions.ledger) as ledger:
        found = batches_out(ledger)
    for batch in found:
        where = " at ".join(part for part in (batch.reference, batch.endpoint) if part) or "not handed in yet"
        typer.echo(
            f"{batch.kind} {batch.number}, since {batch.created_at}: {batch.requests:,} requests, "
            f"{dollars(batch.may_cost_usd)} at most, {where}"
        )
    if not found:
        typer.echo("no batch is open")


@batches.command("give-up")
def give_up(number: Annotated[int, typer.Argument(help="Of the batch, as listed.")], name: ExistingRun = None) -> None:
    """Close a batch whose results will never come; what is open in it counts as lost and is bought again."""
    from components.instructions.ledger.batches import give_up_batch
    from components.instructions.ledger.ledger import open_ledger
    from components.text import dollars
    from flows.prepare_workspace import find_workspace

    with open_ledger(find_workspace(name).parameters().instructions.ledger) as ledger:
        batch = give_up_batch(ledger, number)
    typer.echo(
        f"batch {number} is closed: {batch.requests:,} requests of it are bought again by the next run; "
        f"they may have cost up to {dollars(batch.may_cost_usd)}"
    )
