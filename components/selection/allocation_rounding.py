"""Shares to whole images, in exact arithmetic: spreading between floors and caps, then the largest remainders."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor


def spread_by_weight(
    weights: Sequence[Fraction], capacities: Sequence[int], total: Fraction | int, *, floors: Sequence[int] = ()
) -> list[Fraction]:
    """Spread `total` in proportion to the weights; what a floor or a capacity shifts is settled among the others alike.

    Every amount is its weight times one common factor, moved to its floor where that is above and to its capacity
    where that is below.

    Args:
        weights: `M`, non-negative.
        capacities: `M`, the most that each can take.
        total: what to spread; above the sum of the capacities each gets its capacity, below the sum of the floors
            its floor.
        floors: `M`, the least that each gets, at most its capacity; none: zero.

    Returns:
        `M` amounts, each from its floor to its capacity, summing to `total` where that is possible. Those of weight
        zero get more than their floor only when all others are full, in proportion to their capacities.
    """
    least = list(floors) or [0] * len(weights)
    amounts = [Fraction(floor) for floor in least]
    weighted = [at for at, weight in enumerate(weights) if weight > 0]
    weightless = [at for at, weight in enumerate(weights) if weight == 0]
    left = max(Fraction(min(total, sum(capacities))), sum(amounts, start=Fraction(0)))
    reserved = sum((amounts[at] for at in weightless), start=Fraction(0))
    for group, measure, spared in (
        (weighted, weights, reserved),
        (weightless, [Fraction(capacity) for capacity in capacities], Fraction(0)),
    ):
        given = min(left - spared, Fraction(sum(capacities[at] for at in group)))
        factor = _common_factor([(measure[at], least[at], capacities[at]) for at in group if capacities[at]], given)
        for at in group:
            amounts[at] = min(max(factor * measure[at], Fraction(least[at])), Fraction(capacities[at]))
        left -= sum((amounts[at] for at in group), start=Fraction(0))
    return amounts


def round_to_largest_remainders(shares: Sequence[Fraction], total: int, *, ties: Sequence[int]) -> list[int]:
    """Round every share down, then up by one where the remainder is largest, until the total is met.

    Args:
        shares: non-negative.
        total: their sum rounded down or up.
        ties: which of equal remainders comes first, smallest first; then the earlier position.

    Returns:
        Whole numbers that sum to `total`, each its share rounded down or up.
    """
    rounded = [floor(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda at: (rounded[at] - shares[at], ties[at], at))
    missing = total - sum(rounded)
    assert 0 <= missing <= sum(share > whole for share, whole in zip(shares, rounded, strict=True))
    for at in order[:missing]:
        rounded[at] += 1
    return rounded


def even_quotas(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Split a number of samples evenly over the tasks.

    Args:
        sizes: samples of each task.
        total: samples to take; above the sum of the sizes all are taken.

    Returns:
        Samples to take from each task. They differ by at most one, except that a task gives no more than it has and
        the others share the rest; what does not divide goes to the first tasks by name.

    Raises:
        ValueError: the total is below 0.
    """
    if total < 0:
        raise ValueError(f"cannot take {total} samples; give 0 or above")
    tasks = sorted(sizes)
    capacities = [sizes[task] for task in tasks]
    amounts = spread_by_weight([Fraction(1)] * len(tasks), capacities, total)
    whole = round_to_largest_remainders(amounts, min(total, sum(capacities)), ties=range(len(tasks)))
    return dict(zip(tasks, whole, strict=True))


def _common_factor(parts: Sequence[tuple[Fraction, int, int]], total: Fraction) -> Fraction:
    """The factor at which measures times it, each held between its floor and its capacity, sum to `total`.

    Args:
        parts: measure above zero, floor and capacity of each.
        total: from the sum of the floors to that of the capacities.
    """
    # The sum grows with the factor, in straight pieces: a part joins in at its floor and stops at its capacity.
    bends = sorted(
        bend for measure, least, most in parts for bend in ((least / measure, measure), (most / measure, -measure))
    )
    factor, slope = Fraction(0), Fraction(0)
    missing = total - sum(least for _, least, _ in parts)
    for bend, change in bends:
        if slope > 0 and missing <= slope * (bend - factor):
            return factor + missing / slope
        missing -= slope * (bend - factor)
        factor, slope = bend, slope + change
    return factor
