"""The vectors on a plane, for a person to look at; nothing is selected from it."""

import numpy as np
from numpy.typing import NDArray

from components.selection.vectors import normalise

_FITTED_ON = 5000  # vectors from which the principal axes are taken at most


def project_to_plane(vectors: NDArray[np.floating], *, seed: int) -> NDArray[np.float64]:
    """Lay vectors out by the two directions of largest variance.

    Args:
        vectors: `(n, d)`; L2-normalised here.
        seed: non-negative integer, for the subsample that the axes are fitted on.

    Returns:
        `(n, 2)` float64, centred. Signs are fixed: the largest loading of each axis is positive.

    Raises:
        ValueError: a vector cannot be normalised.
    """
    unit = normalise(vectors, np.float64)  # (n, d)
    count, width = unit.shape
    plane = np.zeros((count, 2))  # (n, 2)
    if count < 2:
        return plane
    fitted = np.sort(np.random.default_rng(seed).permutation(count)[:_FITTED_ON])  # (m,)
    centre = unit[fitted].mean(axis=0)  # (d,)
    axes = np.linalg.svd(unit[fitted] - centre, full_matrices=False)[2][:2]  # (1 or 2, d)
    largest = np.abs(axes).argmax(axis=1)  # (1 or 2,)
    axes *= np.sign(axes[np.arange(len(axes)), largest])[:, np.newaxis]
    plane[:, : min(2, width, len(axes))] = (unit - centre) @ axes.T
    plane -= plane.mean(axis=0)
    return plane
