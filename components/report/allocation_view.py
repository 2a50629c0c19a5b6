"""Where the budget goes: every task's part of the pool and of the picks, and what rounding left unspent."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.report.cluster_strips import Strip, cluster_strips, highest_rate
from components.report.number_text import count, decimal, percent, quantity
from components.report.task_rows import TaskRow


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """One task's part of the pool and of the picks.

    Attributes:
        task: its name.
        colour: index of its colour, -1 for grey.
        pool: samples of the pool.
        pool_share: their share of the pool.
        pool_bar: length of that share's bar, 0 to 100.
        picked: samples that get an instruction.
        picked_share: their share of all picks.
        picked_bar: length of that share's bar, 0 to 100.
        factor: share of the picks over share of the pool.
    """

    task: str
    colour: int
    pool: str
    pool_share: str
    pool_bar: float
    picked: str
    picked_share: str
    picked_bar: float
    factor: str


@dataclass(frozen=True, slots=True)
class AllocationView:
    """Both charts and the sentence on rounding.

    Attributes:
        rows: per task, the most important first.
        strips: per task that has clusters, in the same order.
        full_block: share of a cluster's available images that a completely filled block stands for.
        rounding: what rounding did to the budget; empty without an allocation.
    """

    rows: tuple[AllocationRow, ...]
    strips: tuple[Strip, ...]
    full_block: str
    rounding: str


def allocation_view(tasks: tuple[TaskRow, ...], allocation: pa.Table) -> AllocationView:
    """Lay out the section's charts."""
    return AllocationView(
        rows=_rows(tasks),
        strips=cluster_strips(tasks, allocation),
        full_block=percent(highest_rate(allocation)),
        rounding=rounding_text(allocation),
    )


def rounding_text(allocation: pa.Table) -> str:
    """What Eq. 6 asks for, what its floor would place and what the quotas place."""
    if not allocation.num_rows:
        return ""
    shares, available = allocation["share"].to_numpy(), allocation["available"].to_numpy()
    asked, placed = round(float(shares.sum())), int(allocation["quota"].to_numpy().sum())
    # A share such as 2.9999999996 stands for a whole number that the floor must not lose.
    floors = np.floor(shares + 1e-9)
    floor = int(np.minimum(floors, available).sum())
    beyond = int(np.maximum(floors - available, 0).sum())
    lost, unspent = asked - floor, asked - placed
    lost_share = f" ({percent(lost / asked)})" if asked > 0 and lost > 0 else ""
    scarce = f", {count(beyond)} of them because clusters hold fewer images than they are due" if beyond else ""
    if unspent > 0:
        outcome = f"{count(unspent)} stay unspent."
    else:
        outcome = "nothing stays unspent." if unspent == 0 else f"that is {count(-unspent)} more than asked for."
    return (
        f"Eq. 6 asks for {quantity(asked, 'image')} from {quantity(allocation.num_rows, 'cluster')}."
        f" Rounding every cluster down, as the paper prints it, would place {count(floor)} of them and leave"
        f" {count(lost)}{lost_share} unspent{scarce}. The quotas of this run place {count(placed)}: {outcome}"
    )


def _rows(tasks: tuple[TaskRow, ...]) -> tuple[AllocationRow, ...]:
    pool, picked = sum(row.samples for row in tasks), sum(row.picked for row in tasks)
    shares = [(row.samples / pool if pool else 0.0, row.picked / picked if picked else 0.0) for row in tasks]
    longest = max((value for pair in shares for value in pair), default=0.0) or 1.0
    return tuple(
        AllocationRow(
            task=row.task,
            colour=row.colour,
            pool=count(row.samples),
            pool_share=percent(of_pool),
            pool_bar=round(100 * of_pool / longest, 2),
            picked=count(row.picked),
            picked_share=percent(of_picks),
            picked_bar=round(100 * of_picks / longest, 2),
            factor=decimal(of_picks / of_pool if of_pool else math.nan, digits=2),
        )
        for row, (of_pool, of_picks) in zip(tasks, shares, strict=True)
    )
