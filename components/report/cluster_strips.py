"""The clusters of every task as a strip of blocks, filled as far as the cluster's images are picked."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.report.number_text import count, percent, quantity
from components.report.task_rows import TaskRow

BLOCKS = 40  # clusters drawn one by one in a strip; the smallest beyond are one block


@dataclass(frozen=True, slots=True)
class Block:
    """One cluster: where it starts, how wide it is and how far it is filled, 0 to 100, and what to say of it."""

    start: float
    width: float
    fill: float
    title: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The clusters of one task, the largest first.

    Attributes:
        task: its name.
        colour: index of its colour, -1 for grey.
        clusters: how many there are.
        quota: images to pick from them.
        rate: that as a share of the images available.
        blocks: the clusters.
    """

    task: str
    colour: int
    clusters: str
    quota: str
    rate: str
    blocks: tuple[Block, ...]


def highest_rate(allocation: pa.Table) -> float:
    """The largest share of a cluster's available images that its quota asks for, 0 to 1."""
    quota, available = allocation["quota"].to_numpy(), allocation["available"].to_numpy()
    return float(_rate(quota, available).max()) if allocation.num_rows else 0.0


def cluster_strips(tasks: tuple[TaskRow, ...], allocation: pa.Table) -> tuple[Strip, ...]:
    """One strip per task that has clusters, in the order of `tasks`."""
    full = highest_rate(allocation) or 1.0
    strips = []
    for row in tasks:
        of_task = allocation.filter(pc.equal(allocation["task"], row.task)).sort_by(
            [("size", "descending"), ("cluster", "ascending")]
        )
        if of_task.num_rows:
            strips.append(_strip(row, of_task, full))
    return tuple(strips)


def _strip(row: TaskRow, of_task: pa.Table, full: float) -> Strip:
    names = [f"cluster {cluster}" for cluster in of_task["cluster"].to_pylist()]
    size, quota, available = (of_task[name].to_numpy() for name in ("size", "quota", "available"))
    total, chosen, open_images = int(size.sum()), int(quota.sum()), int(available.sum())
    if len(names) > BLOCKS:
        names = [*names[: BLOCKS - 1], f"the {len(names) - BLOCKS + 1} smallest clusters"]
        size, quota, available = (_merge_tail(values) for values in (size, quota, available))
    ends = np.cumsum(size) / max(total, 1) * 100
    rates = _rate(quota, available)
    blocks = tuple(
        Block(
            start=round(float(end - 100 * members / max(total, 1)), 3),
            width=round(float(100 * members / max(total, 1)), 3),
            fill=round(float(100 * rate / full), 2),
            title=f"{name}: {quantity(int(members), 'image')}, {count(int(picks))} to pick",
        )
        for name, end, members, picks, rate in zip(names, ends, size, quota, rates, strict=True)
    )
    rate = percent(chosen / open_images) if open_images else percent(0.0)
    return Strip(row.task, row.colour, quantity(of_task.num_rows, "cluster"), count(chosen), rate, blocks)


def _merge_tail(values: np.ndarray) -> np.ndarray:
    return np.append(values[: BLOCKS - 1], values[BLOCKS - 1 :].sum())


def _rate(quota: np.ndarray, available: np.ndarray) -> np.ndarray:
    rates: np.ndarray = np.divide(quota, available, out=np.zeros(len(quota)), where=available > 0)
    return rates
