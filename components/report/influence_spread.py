"""How alike the gradients of every task's samples are, and whether the draw preferred the typical ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.report.geometry import Axis, linear_axis
from components.report.importance_view import QUANTILES
from components.report.number_text import decimal
from components.report.task_rows import TaskRow, selected_rows


@dataclass(frozen=True, slots=True)
class InfluenceRow:
    """One task; places are 0 to 100 along the axis.

    Attributes:
        task: its name.
        colour: index of its colour, -1 for grey.
        mean: place of the mean of all its samples.
        tenth: place of the 10 % quantile.
        quarter: of the 25 % quantile.
        three_quarters: of the 75 % quantile.
        ninetieth: of the 90 % quantile.
        drawn: place of the mean of those drawn; that of all where none was.
        mean_text: mean of all.
        drawn_text: mean of those drawn.
    """

    task: str
    colour: int
    mean: float
    tenth: float
    quarter: float
    three_quarters: float
    ninetieth: float
    drawn: float
    mean_text: str
    drawn_text: str


@dataclass(frozen=True, slots=True)
class InfluenceSpread:
    """All tasks on one axis."""

    rows: tuple[InfluenceRow, ...]
    axis: Axis


def influence_spread(
    names: Sequence[str], tasks: tuple[TaskRow, ...], influence: pa.Table, selection: pa.Table
) -> InfluenceSpread | None:
    """Lay out the chart; None when no sample has an influence.

    Args:
        names: the tasks in the order to show them in.
        tasks: the tasks, for their colours.
        influence: INFLUENCE.
        selection: SELECTION.
    """
    colours = {row.task: row.colour for row in tasks}
    drawn = _values(selected_rows(selection), "score")
    every = {name: values for name, values in _values(influence, "influence").items() if values.size}
    shown = [name for name in names if name in every]
    if not shown:
        return None
    spreads = {name: np.quantile(every[name], QUANTILES) for name in shown}
    means = {name: float(every[name].mean()) for name in shown}
    means_drawn = {name: float(drawn[name].mean()) for name in shown if name in drawn and drawn[name].size}
    ends = [float(value) for name in shown for value in (*spreads[name], means[name])] + list(means_drawn.values())
    axis = linear_axis(min(0.0, *ends), max(ends))
    rows = []
    for name in shown:
        tenth, quarter, three_quarters, ninetieth = (axis.place(float(value)) for value in spreads[name])
        rows.append(
            InfluenceRow(
                task=name,
                colour=colours.get(name, -1),
                mean=axis.place(means[name]),
                tenth=tenth,
                quarter=quarter,
                three_quarters=three_quarters,
                ninetieth=ninetieth,
                drawn=axis.place(means_drawn.get(name, means[name])),
                mean_text=decimal(means[name]),
                drawn_text=decimal(means_drawn.get(name, math.nan)),
            )
        )
    return InfluenceSpread(tuple(rows), axis)


def _values(table: pa.Table, column: str) -> dict[str, np.ndarray]:
    """The finite values per task."""
    found = {}
    for name in pc.unique(table["task"]).to_pylist():
        values = table.filter(pc.field("task") == name)[column].to_numpy()
        found[name] = values[np.isfinite(values)]
    return found
