"""Transferability of a cluster: how near the other clusters lie (COINCIDE, Eq. 3)."""

import numpy as np
from numpy.typing import NDArray

from components.selection.gaussian_kernel import CoincideProfile
from components.selection.vectors import normalise

_TOO_CLOSE = 0.9  # the released code takes clusters this close for one and the same
_ROWS = 512  # rows of the cosine matrix held at a time


def transferability(centroids: NDArray[np.floating], *, layers: int, profile: CoincideProfile) -> NDArray[np.float64]:
    """Mean cosine of every centroid to the others.

    Args:
        centroids: `(K, layers * 2 * width)`, per layer the image half, then the text half.
        layers: number of layers.
        profile: `paper`: whole centroids, all others. `released`: text halves only, and pairs above 0.9 are left out,
            itself among them.

    Returns:
        `(K,)` float64, -1 to 1; higher: more of the budget. 0 for a centroid that has no other to compare with.

    Raises:
        ValueError: the centroids do not divide into so many layers of two halves.
    """
    count, width = centroids.shape
    if width % (2 * layers):
        raise ValueError(f"centroids have {width} numbers, which are not {layers} layers of two halves")
    if profile == "paper":
        unit = normalise(centroids, np.float64)  # (K, d)
        if count == 1:
            return np.zeros(1)
        others: NDArray[np.float64] = (unit @ unit.sum(axis=0) - 1) / (count - 1)
        return others
    text = centroids.reshape(count, layers, 2, -1)[:, :, 1].reshape(count, -1)  # (K, layers * width)
    unit = normalise(text, np.float64)
    means = np.zeros(count)  # (K,)
    for start in range(0, count, _ROWS):
        cosines = unit[start : start + _ROWS] @ unit.T  # (rows, K)
        kept = cosines <= _TOO_CLOSE
        means[start : start + _ROWS] = np.where(kept, cosines, 0).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    return means
