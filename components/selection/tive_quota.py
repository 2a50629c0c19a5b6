"""Task quotas: difficulty shares to whole numbers of samples (TIVE)."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from components.selection.allocation_rounding import round_to_largest_remainders, spread_by_weight

QuotaRounding = Literal["exact", "released"]


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
