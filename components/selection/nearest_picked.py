"""The picked image that is most like a given one: why a passed-over image was not needed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.selection.vectors import normalise

_BLOCK_ELEMENTS = 2**23  # cosines held at once


@dataclass(frozen=True, slots=True, eq=False)
class NearestPicked:
    """For each of `m` asked images, the nearest picked one other than itself.

    Attributes:
        rows: `(m,)` int64 row of the nearest picked image; -1 where there is none.
        cosines: `(m,)` float64 cosine to it, -1 to 1, higher is closer; NaN where there is none.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float64]


def nearest_picked(
    vectors: NDArray[np.floating], picked: NDArray[np.bool_], *, rows: NDArray[np.int64]
) -> NearestPicked:
    """Find the nearest picked neighbour of the given rows.

    Args:
        vectors: `(n, d)`, of one task for example; L2-normalised here.
        picked: `(n,)`, true for picked images.
        rows: `(m,)` int, the images that are asked about.

    Returns:
        Rows and cosines; ties go to the earlier row.

    Raises:
        ValueError: the lengths differ, a row is out of range, or a vector cannot be normalised.
    """
    if picked.shape != (len(vectors),):
        raise ValueError(f"picked has shape {picked.shape} for {len(vectors)} vectors; give one mark per vector")
    outside = rows[(rows < 0) | (rows >= len(vectors))]
    if outside.size:
        raise ValueError(f"row {int(outside[0])} is outside the {len(vectors)} vectors")
    targets = np.flatnonzero(picked)  # (p,)
    nearest = np.full(len(rows), -1, dtype=np.int64)  # (m,)
    cosines = np.full(len(rows), np.nan)  # (m,)
    if not targets.size or not rows.size:
        return NearestPicked(nearest, cosines)
    target_vectors = normalise(vectors[targets], np.float64)  # (p, d)
    block = max(1, _BLOCK_ELEMENTS // len(targets))
    for start in range(0, len(rows), block):
        asked = rows[start : start + block]  # (b,)
        similarity = normalise(vectors[asked], np.float64) @ target_vectors.T  # (b, p)
        similarity[asked[:, np.newaxis] == targets] = -np.inf
        best = similarity.argmax(axis=1)  # (b,)
        value = similarity[np.arange(len(asked)), best]  # (b,)
        found = np.isfinite(value)
        nearest[start : start + block][found] = targets[best[found]]
        cosines[start : start + block][found] = np.clip(value[found], -1, 1)
    return NearestPicked(nearest, cosines)
