"""The commands `presel batches list` and `presel batches give-up`."""

from typing import Annotated

import typer

from flows.command_line.options import ExistingRun

batches = typer.Typer(no_args_is_help=True, help="See what is out in batches, and give up what cannot be collected.")


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
