"""Instance influence: how much a sample's gradient points where its task's gradients point (TIVE)."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

# Rows of the pool and their gradients; called once per pass.
LoadBlocks = Callable[[], Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]]]


def instance_influence(load_blocks: LoadBlocks, task_of_row: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean cosine of every gradient to all gradients of its task, its own included.

    mean_j cos(g_i, g_j) = <u_i, mean_j u_j> for the unit vectors u, so two passes over the gradients do: O(N d) time,
    and memory for one block and one vector per task.

    Args:
        load_blocks: gives the gradients in blocks of (rows `(b,)`, gradients `(b, d)`), every row once, twice over.
        task_of_row: `(N,)` int, number of the task of every row, from 0.

    Returns:
        `(N,)` float64, -1 to 1; higher: more like the task as a whole.

    Raises:
        ValueError: a row is missing or comes twice, or a gradient is zero or not finite and so has no direction; the
            error names its row.
    """
    counts = np.bincount(task_of_row)  # (M,)
    directions: NDArray[np.float64] | None = None
    seen = np.zeros(len(task_of_row), dtype=np.int64)  # (N,)
    lengths = np.empty(len(task_of_row))  # (N,)
    for rows, gradients in load_blocks():
        unit = np.array(gradients, dtype=np.float64)  # (b, d)
        lengths[rows] = _lengths(rows, unit)
        unit /= lengths[rows, np.newaxis]
        if directions is None:
            directions = np.zeros((len(counts), unit.shape[1]))  # (M, d)
        for task in np.unique(task_of_row[rows]):
            directions[task] += unit[task_of_row[rows] == task].sum(axis=0)
        np.add.at(seen, rows, 1)
    if directions is None or not (seen == 1).all():
        wrong = np.flatnonzero(seen != 1)
        raise ValueError(
            f"{len(wrong)} of {len(seen)} samples do not have exactly one gradient, first row "
            f"{int(wrong[0]) if len(wrong) else 0}; compute the gradients again"
        )
    directions /= np.maximum(counts, 1)[:, np.newaxis]
    influence = np.empty(len(task_of_row))  # (N,)
    for rows, gradients in load_blocks():
        exact = gradients.astype(np.float64)  # (b, d)
        influence[rows] = np.einsum("bd,bd->b", exact, directions[task_of_row[rows]]) / lengths[rows]
    return influence


def _lengths(rows: NDArray[np.int64], gradients: NDArray[np.float64]) -> NDArray[np.float64]:
    """L2 norms `(b,)`, all of them finite and above 0."""
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("bd,bd->b", gradients, gradients))  # (b,)
    unusable = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if unusable.size:
        first = int(unusable[0])
        raise ValueError(
            f"the gradient of row {int(rows[first])} has length {lengths[first]} and so no direction; "
            "leave out samples whose gradient is zero or not finite"
        )
    return lengths
