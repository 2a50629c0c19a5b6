"""The Gaussian kernel between unit vectors, without ever holding all pairs (COINCIDE)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

CoincideProfile = Literal["paper", "released"]

# gamma of exp(-gamma |u - v|^2): 1 in the paper; the released code halves it.
GAMMA: dict[CoincideProfile, float] = {"paper": 1.0, "released": 0.5}
_ROWS = 1024  # rows of the kernel held at a time


def kernel_column(vectors: NDArray[np.float64], row: int, *, gamma: float) -> NDArray[np.float64]:
    """Kernel of every vector with one of them.

    Args:
        vectors: `(n, d)` float64.
        row: which one.
        gamma: width, above 0.

    Returns:
        `(n,)` float64, 0 to 1.
    """
    return gaussian_kernel(vectors, vectors[row : row + 1], gamma)[:, 0]


def kernel_row_sums(vectors: NDArray[np.float64], *, gamma: float) -> NDArray[np.float64]:
    """Sum of the kernel of every vector with all of them, itself included.

    Args:
        vectors: `(n, d)` float64.
        gamma: width, above 0.

    Returns:
        `(n,)` float64, 1 to n; higher: more typical. O(n^2 d) time, memory for a block of rows.
    """
    sums = np.zeros(len(vectors))  # (n,)
    for start in range(0, len(vectors), _ROWS):
        sums[start : start + _ROWS] = gaussian_kernel(vectors[start : start + _ROWS], vectors, gamma).sum(axis=1)
    return sums


def gaussian_kernel(left: NDArray[np.float64], right: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """Kernel of every left vector with every right one, `(left, right)` float64, 0 to 1."""
    squares = np.einsum("nd,nd->n", left, left)[:, np.newaxis] + np.einsum("nd,nd->n", right, right)
    distances = np.maximum(squares - 2 * left @ right.T, 0)  # (left, right), squared
    kernel: NDArray[np.float64] = np.exp(-gamma * distances)
    return kernel
