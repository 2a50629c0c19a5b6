"""How Eq. 6 spreads the budget over the clusters: what rounding does to it, and every cluster's part."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.report.strategy_report import Section
from components.report.task_rows import TaskRow

TEMPLATE = Path(__file__).with_name("quotas.html")
BLOCKS = 40  # clusters drawn one by one in a strip; the smallest beyond are one block


@dataclass(frozen=True, slots=True)
class Block:
    """One cluster, or several.

    Attributes:
        cluster: its number; -1 where the block is the smallest ones together.
        clusters: how many it stands for.
        images: of them.
        quota: to pick.
        start: where it begins, 0 to 100.
        width: how wide it is.
        fill: how far it is filled, 0 to 100.
    """

    cluster: int
    clusters: int
    images: int
    quota: int
    start: float
    width: float
    fill: float


@dataclass(frozen=True, slots=True)
class Strip:
    """The clusters of one task, the largest first.

    Attributes:
        row: the task.
        clusters: how many there are.
        quota: images to pick from them.
        rate: that as a share of the images available.
        blocks: the clusters.
    """

    row: TaskRow
    clusters: int
    quota: int
    rate: float
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Quotas:
    """The section.

    Attributes:
        asked: images that Eq. 6 asks for.
        clusters: from so many clusters.
        floor: what its floor would place.
        beyond: images that clusters are due and do not hold.
        placed: what the quotas place.
        highest_rate: share of a cluster's available images that a full block stands for.
        strips: per task that has clusters.
    """

    asked: int
    clusters: int
    floor: int
    beyond: int
    placed: int
    highest_rate: float
    strips: tuple[Strip, ...]


def quotas_section(tasks: tuple[TaskRow, ...], allocation: pa.Table) -> Section | None:
    """Lay out the section; None without a cluster.

    Args:
        tasks: the tasks in the order to show them in.
        allocation: ALLOCATION.
    """
    if not allocation.num_rows:
        return None
    return Section("quotas", "Quotas", TEMPLATE, quotas(tasks, allocation), after_allocation=True)


def quotas(tasks: tuple[TaskRow, ...], allocation: pa.Table) -> Quotas:
    """Count what Eq. 6 asks for, what its floor would place and what the quotas place."""
    shares, available, quota = (allocation[name].to_numpy() for name in ("share", "available", "quota"))
    # A share such as 2.9999999996 stands for a whole number that the floor must not lose.
    floors = np.floor(shares + 1e-9)
    highest = float(_rate(quota, available).max())
    return Quotas(
        asked=round(float(shares.sum())),
        clusters=allocation.num_rows,
        floor=int(np.minimum(floors, available).sum()),
        beyond=int(np.maximum(floors - available, 0).sum()),
        placed=int(quota.sum()),
        highest_rate=highest,
        strips=_strips(tasks, allocation, highest or 1.0),
    )


def _strips(tasks: tuple[TaskRow, ...], allocation: pa.Table, full: float) -> tuple[Strip, ...]:
    order = [("size", "descending"), ("cluster", "ascending")]
    of_tasks = ((row, allocation.filter(pc.equal(allocation["task"], row.task)).sort_by(order)) for row in tasks)
    return tuple(_strip(row, of_task, full) for row, of_task in of_tasks if of_task.num_rows)


def _strip(row: TaskRow, of_task: pa.Table, full: float) -> Strip:
    clusters: list[int] = of_task["cluster"].to_pylist()
    size, quota, available = (of_task[name].to_numpy() for name in ("size", "quota", "available"))
    chosen, open_images = int(quota.sum()), int(available.sum())
    rest = len(clusters) - BLOCKS + 1
    if len(clusters) > BLOCKS:
        clusters = [*clusters[: BLOCKS - 1], -1]
        size, quota, available = (_merge_tail(values) for values in (size, quota, available))
    widths = 100 * size / max(int(size.sum()), 1)
    starts = np.cumsum(widths) - widths
    fills = 100 * _rate(quota, available) / full
    blocks = tuple(
        Block(
            cluster=cluster,
            clusters=1 if cluster >= 0 else rest,
            images=int(size[at]),
            quota=int(quota[at]),
            start=round(float(starts[at]), 3),
            width=round(float(widths[at]), 3),
            fill=round(float(fills[at]), 2),
        )
        for at, cluster in enumerate(clusters)
    )
    return Strip(row, of_task.num_rows, chosen, chosen / open_images if open_images else 0.0, blocks)


def _merge_tail(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.append(values[: BLOCKS - 1], values[BLOCKS - 1 :].sum())


def _rate(quota: NDArray[np.int64], available: NDArray[np.int64]) -> NDArray[np.float64]:
    rates: NDArray[np.float64] = np.divide(quota, available, out=np.zeros(len(quota)), where=available > 0)
    return rates
