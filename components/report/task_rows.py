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
        pool_share: those as a share of the pool.
        reference: samples of the reference set.
        selected: samples that the strategy picked.
        pick_share: both as a share of all picks.
        weight: what it is worth to the strategy, 0 to 1, NaN where it does not say.
    """

    task: str
    colour: int
    samples: int
    pool_share: float
    reference: int
    selected: int
    pick_share: float
    weight: float

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
    weights = inputs.evidence.weights
    names = samples.keys() | reference.keys() | selected.keys() | weights.keys()
    pool, picks = samples.total(), reference.total() + selected.total()
    rows = [
        TaskRow(
            task=name,
            colour=index if index < COLOURS else -1,
            samples=samples[name],
            pool_share=samples[name] / pool if pool else 0.0,
            reference=reference[name],
            selected=selected[name],
            pick_share=(reference[name] + selected[name]) / picks if picks else 0.0,
            weight=float(weights.get(name, math.nan)),
        )
        for index, name in enumerate(sorted(names, key=lambda name: (-samples[name], name)))
    ]
    return tuple(sorted(rows, key=lambda row: (math.isnan(row.weight), 0 if math.isnan(row.weight) else -row.weight)))


def task_counts(table: pa.Table) -> Counter[str]:
    """Rows per task of a table that has the column `task`."""
    counts = pc.value_counts(table["task"]).to_pylist()
    return Counter({item["values"]: item["counts"] for item in counts})


def selected_rows(selection: pa.Table) -> pa.Table:
    """The rows of SELECTION that were picked and are not part of the reference set."""
    return selection.filter(pc.and_(selection["picked"], pc.invert(selection["is_reference"])))
