"""Greedy MMD: picks that together look like their cluster (COINCIDE)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from components.strategies.coincide.gaussian_kernel import gaussian_kernel, kernel_column

_SMALL = 2048  # members; their kernel takes 32 MiB


def greedy_mmd(
    vectors: NDArray[np.float64], typicality: NDArray[np.float64], count: int, *, gamma: float
) -> NDArray[np.int64]:
    """Pick members one by one, each time the one that brings the picks' kernel mean closest to the cluster's.

    With n members, m picks S so far and kernel k, the squared maximum mean discrepancy after picking c is

        (A + 2 a_c + k(c, c)) / (m + 1)^2 - 2 (B + r_c) / ((m + 1) n) + constant

    where a_c = sum_{s in S} k(s, c), r_c = sum_x k(x, c), and A, B do not depend on c; k(c, c) = 1 does not either. So
    the next pick has the smallest a_c / (m + 1) - r_c / n, and a is kept up to date by adding the kernel column of
    every pick: O(n d) per pick. Computing the discrepancy anew for every candidate costs O(n m^2) and picks the same.

    Args:
        vectors: `(n, d)` float64, unit vectors.
        typicality: `(n,)`, r / n: the kernel's row sums over the number of members.
        count: picks, 0 to n.
        gamma: of the kernel exp(-gamma |u - v|^2).

    Returns:
        `(count,)` int64, rows in the order of picking; of equal ones the lowest.

    Raises:
        ValueError: `count` is out of range.
    """
    size = len(vectors)
    if not 0 <= count <= size:
        raise ValueError(f"cannot pick {count} of {size} members; give 0 to {size}")
    # Up to this size one product for all columns takes less time than one for each of the picks.
    if size <= _SMALL:
        return greedy_picks(typicality, gaussian_kernel(vectors, vectors, gamma).__getitem__, count)
    return greedy_picks(typicality, lambda row: kernel_column(vectors, row, gamma=gamma), count)


def greedy_picks(
    typicality: NDArray[np.float64], column_of: Callable[[int], NDArray[np.float64]], count: int
) -> NDArray[np.int64]:
    """The picking alone.

    Args:
        typicality: `(n,)`, r / n.
        column_of: row to its kernel column `(n,)`; asked for once per pick.
        count: picks, 0 to n.

    Returns:
        `(count,)` int64, rows in the order of picking.
    """
    to_picks = np.zeros(len(typicality))  # (n,), a
    picks = np.empty(count, dtype=np.int64)
    taken = np.zeros(len(typicality), dtype=bool)
    for number in range(count):
        objective = to_picks / (number + 1) - typicality
        objective[taken] = np.inf
        picks[number] = row = int(np.argmin(objective))
        taken[row] = True
        to_picks += column_of(row)
    return picks
