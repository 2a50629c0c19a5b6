"""COINCIDE's evidence: which clusters got how much, and why."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.report.inputs import CoincideEvidence
from components.report.number_text import count, decimal, percent, quantity
from components.report.task_rows import TaskRow

SHOWN = 25  # clusters in the table


@dataclass(frozen=True, slots=True)
class MixPart:
    """One task's part of a cluster: its colour, its start and width from 0 to 100, and what to say of it."""

    colour: int
    start: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class ConceptRow:
    """One cluster; the bar is 0 to 100, `mix` are the tasks of its samples, `taken` its picks as a share of them."""

    cluster: str
    size: str
    mix: tuple[MixPart, ...]
    transferability: str
    density: str
    share: str
    share_bar: float
    quota: str
    taken: str


@dataclass(frozen=True, slots=True)
class CoincideView:
    """The section.

    Attributes:
        rows: the largest share first.
        summary: what became of the clusters, in a sentence.
        others: clusters that are not in the table; empty without any.
        tasks: name and colour of every task, for the legend.
    """

    rows: tuple[ConceptRow, ...]
    summary: str
    others: str
    tasks: tuple[tuple[str, int], ...]


def coincide_view(
    tasks: tuple[TaskRow, ...], evidence: CoincideEvidence | None, selection: pa.Table
) -> CoincideView | None:
    """Lay out the section; None for another strategy."""
    if evidence is None:
        return None
    table = evidence.shares
    rows = sorted(table.to_pylist(), key=lambda row: (-row["share"], row["cluster"]))
    longest = max((row["share"] for row in rows), default=1.0)
    sizes, quotas = table["size"].to_numpy(), table["quota"].to_numpy()
    whole, nothing = int(np.sum(quotas == sizes)), int(np.sum(quotas == 0))
    rest = rows[SHOWN:]
    mixes = _mixes(selection, tasks)
    return CoincideView(
        rows=tuple(
            ConceptRow(
                cluster=str(row["cluster"]),
                size=count(row["size"]),
                mix=mixes.get(row["cluster"], ()),
                transferability=decimal(row["transferability"]),
                density=decimal(row["density"]),
                share=percent(row["share"], digits=2),
                share_bar=round(100 * row["share"] / longest, 2),
                quota=count(row["quota"]),
                taken=percent(row["quota"] / row["size"], digits=0),
            )
            for row in rows[:SHOWN]
        ),
        summary=(
            f"Of {quantity(len(rows), 'cluster')}, {count(whole)} were taken whole and {count(nothing)} got nothing."
        ),
        others=(
            f"{quantity(len(rest), 'more cluster')} with {quantity(sum(row['size'] for row in rest), 'sample')} got "
            f"{quantity(sum(row['quota'] for row in rest), 'pick')} between them."
            if rest
            else ""
        ),
        tasks=tuple((row.task, row.colour) for row in tasks),
    )


def _mixes(selection: pa.Table, tasks: tuple[TaskRow, ...]) -> dict[int, tuple[MixPart, ...]]:
    """The tasks of every cluster's samples, in the order of `tasks`."""
    groups = selection.group_by(["cluster", "task"]).aggregate([("sample_id", "count")]).to_pylist()
    counts = {(row["cluster"], row["task"]): row["sample_id_count"] for row in groups}
    mixes = {}
    for cluster in {cluster for cluster, _ in counts}:
        present = [(row, counts[cluster, row.task]) for row in tasks if (cluster, row.task) in counts]
        total, before, parts = sum(number for _, number in present), 0, []
        for row, number in present:
            start, width = round(100 * before / total, 2), round(100 * number / total, 2)
            parts.append(MixPart(row.colour, start, width, f"{row.task}: {count(number)} of {count(total)}"))
            before += number
        mixes[cluster] = tuple(parts)
    return mixes
