"""Instance influence: how much a sample's gradient points where its task's gradients point (TIVE)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from components.compute.engine import Engine

# Rows of the pool and their gradients; called once per pass.
LoadBlocks = Callable[[], Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    rows: NDArray[np.int64]  # (b,) of the pool
    tasks: NDArray[np.int64]  # (b,)
    gradients: NDArray[np.floating]  # (b, d)


@dataclass(frozen=True, slots=True, eq=False)
class _Summed:
    rows: NDArray[np.int64]  # (b,)
    lengths: NDArray[np.float64]  # (b,)
    sums: dict[int, NDArray[np.float64]]  # task: (d,), of its unit vectors in the block


def instance_influence(
    load_blocks: LoadBlocks, task_of_row: NDArray[np.int64], *, engine: Engine
) -> NDArray[np.float64]:
    """Mean cosine of every gradient to all gradients of its task, its own included.

    mean_j cos(g_i, g_j) = <u_i, mean_j u_j> for the unit vectors u, so two passes over the gradients do: O(N d) time,
    and memory for one block and one vector per task.

    Args:
        load_blocks: gives the gradients in blocks of (rows `(b,)`, gradients `(b, d)`), every row once, twice over.
        task_of_row: `(N,)` int, number of the task of every row, from 0.
        engine: where blocks are worked on; one is read when it takes the block.

    Returns:
        `(N,)` float64, -1 to 1; higher: more like the task as a whole.

    Raises:
        ValueError: a row is missing or comes twice, or a gradient is zero or not finite and so has no direction; the
            error names its row.
    """

    def blocks() -> Iterator[_Block]:
        return (_Block(rows, task_of_row[rows], gradients) for rows, gradients in load_blocks())

    counts = np.bincount(task_of_row)  # (M,)
    directions: NDArray[np.float64] | None = None
    seen = np.zeros(len(task_of_row), dtype=np.int64)  # (N,)
    lengths = np.empty(len(task_of_row))  # (N,)
    for block in engine.each(blocks(), _sum, name="directions"):
        lengths[block.rows] = block.lengths
        for task, summed in block.sums.items():
            if directions is None:
                directions = np.zeros((len(counts), len(summed)))  # (M, d)
            directions[task] += summed
        np.add.at(seen, block.rows, 1)
    if directions is None or not (seen == 1).all():
        wrong = np.flatnonzero(seen != 1)
        raise ValueError(
            f"{len(wrong)} of {len(seen)} samples do not have exactly one gradient, first row "
            f"{int(wrong[0]) if len(wrong) else 0}; compute the gradients again"
        )
    directions /= np.maximum(counts, 1)[:, np.newaxis]
    influence = np.empty(len(task_of_row))  # (N,)
    for rows, along in engine.each(blocks(), partial(_along, directions=directions), name="influence"):
        influence[rows] = along / lengths[rows]
    return influence


def _sum(block: _Block) -> _Summed:
    unit = np.array(block.gradients, dtype=np.float64)  # (b, d)
    lengths = _lengths(block.rows, unit)
    unit /= lengths[:, np.newaxis]
    sums = {int(task): unit[block.tasks == task].sum(axis=0) for task in np.unique(block.tasks)}
    return _Summed(block.rows, lengths, sums)


def _along(block: _Block, *, directions: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    exact = block.gradients.astype(np.float64)  # (b, d)
    return block.rows, np.einsum("bd,bd->b", exact, directions[block.tasks])


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
