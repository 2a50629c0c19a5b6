"""TIVE's evidence: how difficult the tasks are, and how far from uniform the draw was."""

from dataclasses import dataclass

import pyarrow as pa

from components.report.influence_spread import InfluenceSpread, influence_spread
from components.report.inputs import TiveEvidence
from components.report.number_text import count, decimal, percent
from components.report.task_rows import TaskRow


@dataclass(frozen=True, slots=True)
class DifficultyRow:
    """One task; bars are 0 to 100."""

    task: str
    colour: int
    difficulty: str
    difficulty_bar: float
    share: str
    quota: str
    samples: str
    uniform_distance: str


@dataclass(frozen=True, slots=True)
class TiveView:
    """The section.

    Attributes:
        rows: the most difficult task first.
        draw: how far from uniform the draw was, in a sentence.
        warm_up: samples of the warm-up set.
        influence: of every task's samples; None when no sample has any.
    """

    rows: tuple[DifficultyRow, ...]
    draw: str
    warm_up: str
    influence: InfluenceSpread | None


def tive_view(tasks: tuple[TaskRow, ...], evidence: TiveEvidence | None, selection: pa.Table) -> TiveView | None:
    """Lay out the section; None for another strategy."""
    if evidence is None:
        return None
    colours = {row.task: row.colour for row in tasks}
    rows = sorted(evidence.difficulty.to_pylist(), key=lambda row: (-row["difficulty"], row["task"]))
    longest = max((row["difficulty"] for row in rows), default=1.0)
    return TiveView(
        rows=tuple(
            DifficultyRow(
                task=row["task"],
                colour=colours.get(row["task"], -1),
                difficulty=decimal(row["difficulty"]),
                difficulty_bar=round(100 * row["difficulty"] / longest, 2),
                share=percent(row["share"]),
                quota=count(row["quota"]),
                samples=count(row["samples"]),
                uniform_distance=percent(row["uniform_distance"], digits=2),
            )
            for row in rows
        ),
        draw=_draw_text(max((row["uniform_distance"] for row in rows), default=0.0), evidence.sampling_q),
        warm_up=count(evidence.warm_up.num_rows),
        influence=influence_spread([row["task"] for row in rows], tasks, evidence.influence, selection),
    )


def _draw_text(distance: float, q: float) -> str:
    effect = (
        "within a task the draw was uniform in effect, and what decided is the split over the tasks"
        if distance < 0.01
        else "influence had a say in the draw"
    )
    return (
        f"With q = {q:g} the probabilities of the draw were at most {percent(distance, digits=2)} away from uniform "
        f"(total variation): {effect}."
    )
