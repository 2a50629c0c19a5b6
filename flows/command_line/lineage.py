"""The commands of lineage and trust: lineage, verify, promote, reproduce, gc."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from flows.command_line.options import CALLED_FROM, not_empty

if TYPE_CHECKING:  # commands import what they use themselves, so that `--help` takes no seconds
    from components.promotion.gate import Verdict

P = ParamSpec("P")

ModelVersionName = Annotated[
    str | None,
    typer.Argument(
        help="`3`, `NAME/3`, `champion` or `challenger`; default: the newest version.",
        show_default=False,
        callback=not_empty,
    ),
]
RunName = Annotated[
    str | None,
    typer.Argument(
        help="An MLflow run id or its beginning, or a model version; default: the newest finished run.",
        show_default=False,
        callback=not_empty,
    ),
]


def add_lineage_commands(app: typer.Typer) -> None:
    """Make the commands part of `presel`."""
    for command in (lineage, verify, promote, reproduce, gc):
        app.command()(_asking_mlflow(command))


def _asking_mlflow(command: Callable[P, None]) -> Callable[P, None]:
    @wraps(command)
    def asking(*args: P.args, **options: P.kwargs) -> None:
        from tasks.platform.tracking import answering_tracking

        with answering_tracking():
            command(*args, **options)

    return asking


def lineage(
    model_version: ModelVersionName = None,
    samples: Annotated[bool, typer.Option("--samples", help="List every sample of the training set.")] = False,
    sample: Annotated[str | None, typer.Option(help="One sample, and why it was picked.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Walk a registered model back: training set, every sample and why, who wrote its instruction, the pool."""
    from components.lineage.model_lineage import lineage_json
    from components.lineage.tree_text import lineage_tree
    from flows.lineage import explain_traced, find_traced, trace_model

    found = trace_model(model_version)
    listed = found.samples if samples else () if sample is None else find_traced(found, sample)
    typer.echo(lineage_json(found, samples=listed) if as_json else lineage_tree(found, samples=listed))
    if sample is not None and not as_json:
        typer.echo(f"\n{explain_traced(found, sample)}")


def verify(run: RunName = None) -> None:
    """Hash every artifact of a run again, and hold ledger, training set and registered model against each other."""
    from flows.verify import show_verification, verify_run

    verification = verify_run(run)
    show_verification(verification)
    if verification.mismatches:
        raise typer.Exit(1)


def promote(
    model_version: ModelVersionName = None,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gate says; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is forced; kept with the version.")] = "",
) -> None:
    """Hold a version against the champion on the benchmark, and make it champion if it is better."""
    from flows.prepare_workspace import find_workspace
    from tasks.platform.promotion import promote_version

    if force != bool(reason.strip()):
        raise typer.BadParameter("--force and --reason go together: a forced promotion says why")
    parameters = find_workspace(None).parameters()
    verdict, promoted = promote_version(model_version, parameters, force_because=reason.strip() or None)
    _show_verdict(verdict)
    is_champion = promoted or verdict.outcome == "is_champion"
    done = "is champion now" if promoted else "is champion" if is_champion else "was not promoted"
    typer.echo(f"version {verdict.version} {done}: {verdict.reason}")
    if not is_champion:
        raise typer.Exit(1)


def _show_verdict(verdict: "Verdict") -> None:
    from rich.console import Console
    from rich.table import Table

    from components.promotion.gate import points

    if verdict.average is None:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("set", style="bold")
    for heading in (
        "questions",
        f"version {verdict.version}",
        f"champion {verdict.champion}",
        "difference",
        "from",
        "to",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in (*verdict.sets, verdict.average):
        table.add_row(
            one.name,
            f"{one.questions:,}",
            f"{100 * one.first:.1f}",
            f"{100 * one.second:.1f}",
            *(points(value) for value in (one.difference, one.low, one.high)),
        )
    Console(highlight=False, soft_wrap=True).print(table)


def reproduce(
    run: RunName = None,
    into: Annotated[
        Path | None, typer.Option(help="Folder to make it in; must not exist. Default: `.presel/reproduced/RUN`.")
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Also make the training set and the final tune again.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="On another type of machine too.")] = False,
) -> None:
    """Make a run's selection again from its code and its artifacts, and compare bit for bit."""
    from flows.reproduce import reproduce_and_show

    target = None if into is None else CALLED_FROM / into
    if not reproduce_and_show(run, into=target, tune=tune, anyway=anyway):
        raise typer.Exit(1)


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Do it; without, only say what would be deleted.")] = False,
) -> None:
    """Say what the retention policy lets go, and why the rest stays; never what a registered model needs."""
    from flows.gc import collect_and_show

    collect_and_show(delete=delete)
