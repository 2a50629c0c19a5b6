"""The same number from every task, as far as the tasks have as many."""

from collections.abc import Mapping
from fractions import Fraction

from components.selection.allocation_rounding import round_to_largest_remainders, spread_by_weight


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
