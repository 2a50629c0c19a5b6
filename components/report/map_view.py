"""The image vectors in the plane: paths that show without JavaScript, and the data that hovering reads."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.report.geometry import dot_path
from components.report.inputs import ReportInputs
from components.report.number_text import count, quantity
from components.report.task_rows import TaskRow

WIDTH = 1000
HEIGHTS = (520, 760)  # least and greatest height of the drawing, in the same unit
MARGIN = 16
PASSED, PICKED, REFERENCE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class MapTask:
    """The points of one task as SVG paths; each dot is a path segment without length."""

    task: str
    colour: int
    passed: str
    picked: str
    reference: str
    shown: str


@dataclass(frozen=True, slots=True)
class MapData:
    """What the page's script knows of the points.

    Attributes:
        names: the tasks.
        ids: the sample of every point.
        tasks: index of its task.
        states: 0 passed over, 1 picked, 2 reference set.
        x: place from the left.
        y: place from the top.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    tasks: tuple[int, ...]
    states: tuple[int, ...]
    x: tuple[int, ...]
    y: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MapView:
    """The map.

    Attributes:
        width: of the drawing, in its own unit.
        height: of the drawing.
        tasks: the points, per task.
        others: tasks that share the grey.
        data: the points for the script.
        extent: how many of the pool's samples are shown.
    """

    width: int
    height: int
    tasks: tuple[MapTask, ...]
    others: int
    data: MapData
    extent: str


def map_view(inputs: ReportInputs, tasks: tuple[TaskRow, ...], *, map_points: int) -> MapView | None:
    """Lay out the map; None when no sample has a place on it.

    Args:
        inputs: the run.
        tasks: the tasks, in the order of the legend.
        map_points: points to show at most. Which are shown is decided by a hash of the sample id, so the
            picked ones are shown in the proportion they have.

    Returns:
        The map.
    """
    coordinates = inputs.map_coordinates
    if coordinates is None or not coordinates.sample_ids:
        return None
    kept = _thin(coordinates.sample_ids, map_points)
    ids = [coordinates.sample_ids[index] for index in kept]
    places, height = _fit(np.asarray(coordinates.points, dtype=np.float64)[kept])
    task_of = _column(inputs.samples, "task")
    known = [index for index, sample_id in enumerate(ids) if sample_id in task_of]
    if not known:
        return None
    ids, places = [ids[index] for index in known], places[known]
    states = _states(inputs, ids)
    order = {row.task: index for index, row in enumerate(tasks)}
    task_indices = [order[task_of[sample_id]] for sample_id in ids]
    shown = set(task_indices)
    present = [row for index, row in enumerate(tasks) if index in shown]
    return MapView(
        width=WIDTH,
        height=height,
        tasks=tuple(_map_task(row, order[row.task], task_indices, states, places) for row in present),
        others=sum(row.colour < 0 for row in present),
        data=MapData(
            names=tuple(row.task for row in tasks),
            ids=tuple(ids),
            tasks=tuple(task_indices),
            states=tuple(states),
            x=tuple(int(value) for value in places[:, 0]),
            y=tuple(int(value) for value in places[:, 1]),
        ),
        extent=_extent(len(ids), inputs.samples.num_rows),
    )


def _thin(sample_ids: tuple[str, ...], limit: int) -> list[int]:
    if len(sample_ids) <= limit:
        return list(range(len(sample_ids)))
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in sample_ids]
    return sorted(sorted(range(len(sample_ids)), key=lambda index: digests[index])[:limit])


def _fit(points: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Scale both directions alike, so that distances stay comparable, into the drawing's width and height."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    inner = WIDTH - 2 * MARGIN
    height = int(np.clip(inner * span[1] / span[0] + 2 * MARGIN, *HEIGHTS))
    scale = min(inner / span[0], (height - 2 * MARGIN) / span[1])
    centred = (points - (low + high) / 2) * scale * (1, -1)
    return np.rint(centred + np.array([WIDTH / 2, height / 2])).astype(np.int64), height


def _column(table: pa.Table, name: str) -> dict[str, str]:
    return dict(zip(table["sample_id"].to_pylist(), table[name].to_pylist(), strict=True))


def _states(inputs: ReportInputs, ids: list[str]) -> list[int]:
    reference = set(inputs.reference["sample_id"].to_pylist())
    selection = inputs.selection
    picked = set(selection.filter(selection["picked"])["sample_id"].to_pylist())
    return [REFERENCE if name in reference else PICKED if name in picked else PASSED for name in ids]


def _map_task(
    row: TaskRow, index: int, task_indices: list[int], states: list[int], places: NDArray[np.int64]
) -> MapTask:
    groups: tuple[list[tuple[int, int]], ...] = ([], [], [])
    for task, state, (x, y) in zip(task_indices, states, places.tolist(), strict=True):
        if task == index:
            groups[state].append((x, y))
    paths = [dot_path(group) for group in groups]
    shown = sum(map(len, groups))
    return MapTask(row.task, row.colour, paths[PASSED], paths[PICKED], paths[REFERENCE], count(shown))


def _extent(shown: int, samples: int) -> str:
    if shown == samples:
        return f"All {quantity(samples, 'sample')} are shown."
    return f"{count(shown)} of {quantity(samples, 'sample')} are shown, drawn by a hash of their ids."
