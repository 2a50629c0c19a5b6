"""`presel promote`: the gate, for a person."""

from rich.console import Console
from rich.table import Table

from components.promotion.gate import Verdict, points
from flows.prepare_workspace import find_workspace
from tasks.platform.promotion import promote_version


def promote_and_show(name: str | None, *, force_because: str | None) -> bool:
    """Run the gate on a version and print what it says.

    Args:
        name: of the version, as `find_version` takes it.
        force_because: why it shall be promoted whatever the gate says; None: as the gate says.

    Returns:
        Whether the version is champion now.

    Raises:
        LineageError: no such version, or its answers are lost.
    """
    verdict, promoted = promote_version(name, find_workspace(None).parameters(), force_because=force_because)
    _show(verdict)
    done = "is champion now" if promoted else "is champion" if verdict.outcome == "is_champion" else "was not promoted"
    Console(highlight=False, soft_wrap=True).print(f"version {verdict.version} {done}: {verdict.reason}", markup=False)
    return promoted or verdict.outcome == "is_champion"


def _show(verdict: Verdict) -> None:
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
