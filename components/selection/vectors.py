"""Unit vectors, the form in which every selection component compares images."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", np.float32, np.float64)


def normalise(vectors: NDArray[np.floating], dtype: type[Scalar]) -> NDArray[Scalar]:
    """Scale every row to length one.

    Args:
        vectors: `(n, d)`, any floating dtype.
        dtype: dtype of the result; lengths are taken in it too.

    Returns:
        `(n, d)`, C-contiguous, rows of L2 norm one.

    Raises:
        ValueError: `vectors` is not a matrix, or a row is not finite or has length zero.
    """
    if vectors.ndim != 2:
        raise ValueError(f"vectors must have shape (n, d), got {vectors.shape}")
    unit = np.array(vectors, dtype=dtype, order="C")  # (n, d)
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit))  # (n,)
    unusable = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if unusable.size:
        row = int(unusable[0])
        raise ValueError(
            f"{unusable.size} of {len(unit)} vectors cannot be normalised, first row {row} with length "
            f"{lengths[row]}; leave out images whose vector is zero or not finite"
        )
    unit /= lengths[:, np.newaxis]
    return unit
