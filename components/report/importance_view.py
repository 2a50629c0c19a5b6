"""What every task is worth: the spread of its Instruction Relevance Scores and the weight that follows."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.report.geometry import Axis, linear_axis
from components.report.number_text import decimal, percent, quantity
from components.report.task_rows import TaskRow

QUANTILES = (0.1, 0.25, 0.75, 0.9)


@dataclass(frozen=True, slots=True)
class ImportanceRow:
    """One task; places are 0 to 100 along the axis.

    Attributes:
        task: its name.
        colour: index of its colour, -1 for grey.
        score: mean score as text.
        mean: place of the mean.
        tenth: place of the 10 % quantile.
        quarter: of the 25 % quantile.
        three_quarters: of the 75 % quantile.
        ninetieth: of the 90 % quantile.
        weight: weight as text.
        weight_bar: length of the weight's bar.
        scored: how many reference samples the score is the mean of.
    """

    task: str
    colour: int
    score: str
    mean: float
    tenth: float
    quarter: float
    three_quarters: float
    ninetieth: float
    weight: str
    weight_bar: float
    scored: str


@dataclass(frozen=True, slots=True)
class ImportanceView:
    """The chart of all tasks.

    Attributes:
        rows: the most important task first.
        unscored: tasks without a score.
        axis: of the scores.
        neutral: place of score 1, where the question changes nothing.
        equal_share: place of the weight that every task would have if all were worth the same.
        equal_text: that weight as text.
    """

    rows: tuple[ImportanceRow, ...]
    unscored: tuple[str, ...]
    axis: Axis
    neutral: float
    equal_share: float
    equal_text: str


def importance_view(tasks: tuple[TaskRow, ...], scores: pa.Table) -> ImportanceView | None:
    """Lay out the chart; None when no task has a weight."""
    weighted = [row for row in tasks if not math.isnan(row.weight)]
    if not weighted:
        return None
    spreads = [_spread(row, scores) for row in weighted]
    axis = linear_axis(0.0, max(1.0, *(spread[-1] for spread in spreads), *(row.score for row in weighted)))
    longest = max(row.weight for row in weighted)
    equal = 1.0 / len(weighted)
    longest = max(longest, equal)
    rows = tuple(_row(row, spread, axis, longest) for row, spread in zip(weighted, spreads, strict=True))
    return ImportanceView(
        rows=rows,
        unscored=tuple(row.task for row in tasks if math.isnan(row.weight)),
        axis=axis,
        neutral=axis.place(1.0),
        equal_share=round(100 * equal / longest, 2),
        equal_text=percent(equal),
    )


def _spread(row: TaskRow, scores: pa.Table) -> tuple[float, ...]:
    of_task = scores.filter(pc.equal(scores["task"], row.task))["instruction_relevance_score"]
    values = of_task.to_numpy()
    finite = values[np.isfinite(values)]
    if not finite.size:
        return (row.score,) * len(QUANTILES)
    return tuple(float(value) for value in np.quantile(finite, QUANTILES))


def _row(row: TaskRow, spread: tuple[float, ...], axis: Axis, longest: float) -> ImportanceRow:
    tenth, quarter, three_quarters, ninetieth = (axis.place(value) for value in spread)
    return ImportanceRow(
        task=row.task,
        colour=row.colour,
        score=decimal(row.score),
        mean=axis.place(row.score),
        tenth=tenth,
        quarter=quarter,
        three_quarters=three_quarters,
        ninetieth=ninetieth,
        weight=percent(row.weight),
        weight_bar=round(100 * row.weight / longest, 2),
        scored=quantity(row.scored, "scored sample"),
    )
