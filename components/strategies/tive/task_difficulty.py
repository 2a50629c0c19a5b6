"""Task difficulty, how much a task's samples still move the model, and the quotas that follow from it (TIVE)."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.selection.allocation_rounding import round_to_largest_remainders, spread_by_weight

SelfInfluence = Literal["norm", "squared_norm"]
QuotaRounding = Literal["exact", "released"]


@dataclass(frozen=True, slots=True)
class TaskDifficulty:
    """One task.

    Attributes:
        task: its name.
        samples: that have a gradient.
        difficulty: mean self-influence of its samples, above 0; higher: more of the budget.
        share: difficulty over the sum of all tasks', 0 to 1.
    """

    task: str
    samples: int
    difficulty: float
    share: float


def task_difficulty(
    tasks: Sequence[str], norms: NDArray[np.float64], *, self_influence: SelfInfluence
) -> tuple[TaskDifficulty, ...]:
    """Mean self-influence per task, and the tasks' shares of the budget.

    Args:
        tasks: task of each sample, `N` of them.
        norms: `(N,)` float64, L2 norm of each sample's gradient before any projection.
        self_influence: `norm` as in the released code, `squared_norm` as in the paper (<g, g>).

    Returns:
        One per task, sorted by task; the shares sum to 1.

    Raises:
        ValueError: the lengths differ, there is no sample, or a norm is not finite and above 0.
    """
    if len(tasks) != len(norms) or not len(norms):
        raise ValueError(
            f"{len(tasks)} tasks and {len(norms)} gradient norms; give one of each per sample, at least one"
        )
    unusable = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if unusable.size:
        row = int(unusable[0])
        raise ValueError(
            f"gradient norm of row {row} is {norms[row]}; leave out samples whose gradient is zero or not finite"
        )
    names = np.array(tasks)
    weights = norms if self_influence == "norm" else norms**2  # (N,)
    means = {str(task): float(weights[names == task].mean()) for task in np.unique(names)}
    total = sum(means.values())
    return tuple(
        TaskDifficulty(task, int((names == task).sum()), mean, mean / total) for task, mean in sorted(means.items())
    )


def tive_quotas(shares: Sequence[float], sizes: Sequence[int], *, budget: int, rounding: QuotaRounding) -> list[int]:
    """Samples to take from each task.

    Args:
        shares: of the budget, `M`, summing to 1.
        sizes: samples of each task, `M`.
        budget: samples to train on.
        rounding: `exact`: capped at the tasks' sizes, what is above goes to the others by share, largest remainders;
            sums to the smaller of budget and pool. `released`: `int(share * budget)`, which may leave some of the
            budget unspent and may exceed a task's size, whose samples are then repeated.

    Returns:
        `M` whole numbers.

    Raises:
        ValueError: the lengths differ or the budget is below 1.
    """
    if len(shares) != len(sizes) or budget < 1:
        raise ValueError(
            f"{len(shares)} shares, {len(sizes)} sizes, budget {budget}; give one size per share and at least 1"
        )
    if rounding == "released":
        return [int(share * budget) for share in shares]
    total = min(budget, sum(sizes))
    amounts = spread_by_weight([Fraction(share) for share in shares], sizes, total)
    return round_to_largest_remainders(amounts, total, ties=range(len(sizes)))
