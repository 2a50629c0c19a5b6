"""One row per task: what the pool holds, what was picked, what the task is worth."""

import math
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.report.inputs import ReportInputs

COLOURS = 8  # colours that stay apart for colour-blind readers; further tasks share a grey


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task in numbers.

    Attributes:
        task: its name.
        colour: index of its colour from 0, or -1 for the shared grey.
        samples: samples of the pool.
        reference: samples of the reference set.
        selected: samples that the strategy picked.
        score: mean Instruction Relevance Score (lower: the question matters more), NaN without one.
        weight: share of the budget it is worth, 0 to 1, NaN without one.
        scored: reference samples that carry a score.
    """

    task: str
    colour: int
    samples: int
    reference: int
    selected: int
    score: float
    weight: float
    scored: int

    @property
    def picked(self) -> int:
        """Samples that get an instruction."""
        return self.reference + self.selected


def task_rows(inputs: ReportInputs) -> tuple[TaskRow, ...]:
    """The tasks, the most important first; tasks without a weight follow, larger ones first.

    The colours go to the largest tasks of the pool.
    """
    samples = task_counts(inputs.samples)
    reference = task_counts(inputs.reference)
    selected = task_counts(selected_rows(inputs.selection))
    scores = dict(zip(*inputs.importance.select(["task", "score"]).to_pydict().values(), strict=True))
    weights = dict(zip(*inputs.importance.select(["task", "weight"]).to_pydict().values(), strict=True))
    scored = dict(zip(*inputs.importance.select(["task", "samples"]).to_pydict().values(), strict=True))
    names = set(samples) | set(reference) | set(selected) | set(weights)
    by_size = sorted(names, key=lambda name: (-samples[name], name))
    colours = {name: index if index < COLOURS else -1 for index, name in enumerate(by_size)}
    rows = [
        TaskRow(
            task=name,
            colour=colours[name],
            samples=samples[name],
            reference=reference[name],
            selected=selected[name],
            score=float(scores.get(name, math.nan)),
            weight=float(weights.get(name, math.nan)),
            scored=int(scored.get(name, 0)),
        )
        for name in by_size
    ]
    return tuple(sorted(rows, key=lambda row: (math.isnan(row.weight), -row.weight if row.weight == row.weight else 0)))


def task_counts(table: pa.Table) -> Counter[str]:
    """Rows per task of a table that has the column `task`."""
    counts = pc.value_counts(table["task"]).to_pylist()
    return Counter({item["values"]: item["counts"] for item in counts})


def selected_rows(selection: pa.Table) -> pa.Table:
    """The rows of SELECTION that were picked and are not part of the reference set."""
    return selection.filter(pc.and_(selection["picked"], pc.invert(selection["is_reference"])))
