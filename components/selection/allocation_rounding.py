"""Shares to whole images, in exact arithmetic: spreading under caps, then the largest remainders."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor


def spread_by_weight(weights: Sequence[Fraction], capacities: Sequence[int], total: int) -> list[Fraction]:
    """Spread `total` in proportion to the weights; what is above a capacity goes to the others alike.

    Args:
        weights: `M`, non-negative.
        capacities: `M`, the most that each can take.
        total: what to spread; above the sum of the capacities each gets its capacity.

    Returns:
        `M` amounts, none above its capacity, summing to the smaller of `total` and all capacities. Those of
        weight zero get something only when all others are full, in proportion to their capacities.
    """
    amounts = [Fraction(0)] * len(weights)
    left = Fraction(min(total, sum(capacities)))
    weighted = [at for at, weight in enumerate(weights) if weight > 0]
    weightless = [at for at, weight in enumerate(weights) if weight == 0]
    for group, measure in (
        (weighted, weights),
        (weightless, [Fraction(capacity) for capacity in capacities]),
    ):
        for at, amount in _fill(group, measure, capacities, left):
            amounts[at] = amount
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


def _fill(
    group: Sequence[int], measure: Sequence[Fraction], capacities: Sequence[int], total: Fraction
) -> list[tuple[int, Fraction]]:
    """Water-filling: whoever reaches the capacity first leaves with it, the rest share what is left."""
    waiting = sorted((at for at in group if capacities[at]), key=lambda at: capacities[at] / measure[at])
    filled: list[tuple[int, Fraction]] = []
    left = total
    for place, first in enumerate(waiting):
        scale = left / sum((measure[at] for at in waiting[place:]), start=Fraction(0))
        if measure[first] * scale < capacities[first]:
            return filled + [(at, measure[at] * scale) for at in waiting[place:]]
        filled.append((first, Fraction(capacities[first])))
        left -= capacities[first]
    return filled
