"""The image vectors in the plane: paths that show without JavaScript, and the data that hovering reads."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.report.geometry import dot_path
from components.report.inputs import ReportInputs
from components.report.task_rows import TaskRow
from components.selection.vectors import normalise

WIDTH = 1000
HEIGHTS = (520, 760)  # least and greatest height of the drawing, in the same unit
MARGIN = 16
PASSED, PICKED, REFERENCE = 0, 1, 2

MAP_POINTS = 3000  # images at most: more are a blot, and weigh on the page
_FITTED_ON = 5000  # vectors from which the principal axes are taken at most


@dataclass(frozen=True, slots=True)
class MapTask:
    """The points of one task as SVG paths; each dot is a path segment without length."""

    task: str
    colour: int
    passed: str
    picked: str
    reference: str
    shown: int


@dataclass(frozen=True, slots=True)
class PoolMap:
    """The map.

    Attributes:
        width: of the drawing, in its own unit.
        height: of the drawing.
        drawn: the points as paths, per task that has any.
        names: all tasks.
        ids: the sample of every point.
        tasks: index of its task.
        states: 0 passed over, 1 picked, 2 reference set.
        x: place from the left.
        y: place from the top.
    """

    width: int
    height: int
    drawn: tuple[MapTask, ...]
    names: tuple[str, ...]
    ids: tuple[str, ...]
    tasks: tuple[int, ...]
    states: tuple[int, ...]
    x: tuple[int, ...]
    y: tuple[int, ...]


def shown_on_map(sample_ids: Sequence[str], limit: int) -> list[int]:
    """Which samples the map shows: those with the smallest hashes of their ids.

    Picked ones are among them in the proportion they have, and the same ones come whatever the order.

    Returns:
        Indices in ascending order, `limit` at most.
    """
    if len(sample_ids) <= limit:
        return list(range(len(sample_ids)))
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in sample_ids]
    return sorted(sorted(range(len(sample_ids)), key=lambda index: digests[index])[:limit])


def pool_map(inputs: ReportInputs, tasks: tuple[TaskRow, ...]) -> PoolMap | None:
    """Lay out the map; None when no sample has a place on it.

    Args:
        inputs: the run.
        tasks: the tasks, in the order of the legend.
    """
    coordinates = inputs.map_coordinates
    if coordinates is None:
        return None
    task_of = dict(zip(inputs.samples["sample_id"].to_pylist(), inputs.samples["task"].to_pylist(), strict=True))
    known = [index for index, sample_id in enumerate(coordinates.sample_ids) if sample_id in task_of]
    if not known:
        return None
    ids = [coordinates.sample_ids[index] for index in known]
    places, height = _fit(np.asarray(coordinates.points, dtype=np.float64)[known])
    states = _states(inputs, ids)
    order = {row.task: index for index, row in enumerate(tasks)}
    task_indices = [order[task_of[sample_id]] for sample_id in ids]
    present = set(task_indices)
    return PoolMap(
        width=WIDTH,
        height=height,
        drawn=tuple(
            _map_task(row, index, task_indices, states, places) for index, row in enumerate(tasks) if index in present
        ),
        names=tuple(row.task for row in tasks),
        ids=tuple(ids),
        tasks=tuple(task_indices),
        states=tuple(states),
        x=tuple(places[:, 0].tolist()),
        y=tuple(places[:, 1].tolist()),
    )


def _fit(points: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Scale both directions alike, so that distances stay comparable, into the drawing's width and height."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    inner = WIDTH - 2 * MARGIN
    height = int(np.clip(inner * span[1] / span[0] + 2 * MARGIN, *HEIGHTS))
    scale = min(inner / span[0], (height - 2 * MARGIN) / span[1])
    centred = (points - (low + high) / 2) * scale * (1, -1)
    return np.rint(centred + np.array([WIDTH / 2, height / 2])).astype(np.int64), height


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
    return MapTask(row.task, row.colour, paths[PASSED], paths[PICKED], paths[REFERENCE], sum(map(len, groups)))


def project_to_plane(vectors: NDArray[np.floating], *, seed: int) -> NDArray[np.float64]:
    """Lay vectors out by the two directions of largest variance.

    Args:
        vectors: `(n, d)`; L2-normalised here.
        seed: non-negative integer, for the subsample that the axes are fitted on.

    Returns:
        `(n, 2)` float64, centred. Signs are fixed: the largest loading of each axis is positive.

    Raises:
        ValueError: a vector cannot be normalised.
    """
    unit = normalise(vectors, np.float64)  # (n, d)
    count, width = unit.shape
    plane = np.zeros((count, 2))  # (n, 2)
    if count < 2:
        return plane
    fitted = np.sort(np.random.default_rng(seed).permutation(count)[:_FITTED_ON])  # (m,)
    centre = unit[fitted].mean(axis=0)  # (d,)
    axes = np.linalg.svd(unit[fitted] - centre, full_matrices=False)[2][:2]  # (1 or 2, d)
    largest = np.abs(axes).argmax(axis=1)  # (1 or 2,)
    axes *= np.sign(axes[np.arange(len(axes)), largest])[:, np.newaxis]
    plane[:, : min(2, width, len(axes))] = (unit - centre) @ axes.T
    plane -= plane.mean(axis=0)
    return plane
