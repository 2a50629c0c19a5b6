"""The vectors on a plane, for a person to look at; nothing is selected from it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.selection.vectors import normalise

ProjectionMethod = Literal["pca", "tsne"]

_FITTED_ON = 5000  # vectors from which the principal axes are taken at most
_TSNE_LIMIT = 5000  # vectors that t-SNE lays out in a time one waits for
_TSNE_PERPLEXITY = 30.0


def project_to_plane(
    vectors: NDArray[np.floating], *, seed: int, method: ProjectionMethod = "pca"
) -> NDArray[np.float64]:
    """Lay vectors out on a plane.

    Args:
        vectors: `(n, d)`; L2-normalised here.
        seed: non-negative integer, for the subsample that the axes are fitted on and for t-SNE.
        method: `pca`, the two directions of largest variance, any n; `tsne`, started from them, keeps
            neighbours together, for at most 5000 vectors.

    Returns:
        `(n, 2)` float64, centred. Signs are fixed: the largest loading of each principal axis is positive.

    Raises:
        ValueError: the method is unknown, t-SNE gets too many vectors, or a vector cannot be normalised.
    """
    if method not in ("pca", "tsne"):
        raise ValueError(f"method {method!r} is unknown; choose pca or tsne")
    if method == "tsne" and len(vectors) > _TSNE_LIMIT:
        raise ValueError(f"t-SNE of {len(vectors)} vectors takes too long; pass at most {_TSNE_LIMIT} or use pca")
    unit = normalise(vectors, np.float64)  # (n, d)
    plane = _principal_plane(unit, np.random.default_rng(seed))  # (n, 2)
    spread = float(plane[:, 0].std()) if len(plane) else 0.0
    # t-SNE needs more points than its perplexity and something to tell apart.
    if method == "pca" or len(unit) < 4 or spread == 0:
        return plane
    from sklearn.manifold import TSNE

    layout = TSNE(
        n_components=2,
        perplexity=min(_TSNE_PERPLEXITY, (len(unit) - 1) / 3),
        init=plane / spread * 1e-4,
        random_state=seed,
        n_jobs=1,
    ).fit_transform(unit)  # (n, 2)
    return np.asarray(layout - layout.mean(axis=0), dtype=np.float64)


def _principal_plane(unit: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    count, width = unit.shape
    plane = np.zeros((count, 2))  # (n, 2)
    if count < 2:
        return plane
    fitted = np.sort(rng.permutation(count)[:_FITTED_ON])  # (m,)
    centre = unit[fitted].mean(axis=0)  # (d,)
    axes = np.linalg.svd(unit[fitted] - centre, full_matrices=False)[2][:2]  # (1 or 2, d)
    largest = np.abs(axes).argmax(axis=1)  # (1 or 2,)
    axes *= np.sign(axes[np.arange(len(axes)), largest])[:, np.newaxis]
    plane[:, : min(2, width, len(axes))] = (unit - centre) @ axes.T
    plane -= plane.mean(axis=0)
    return plane
