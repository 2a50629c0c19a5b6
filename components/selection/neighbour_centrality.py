"""How representative an image is of its cluster (Eq. 7 of PreSel)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.selection.flat_index import nearest
from components.selection.vectors import normalise

# faiss finds the neighbours in float32, so a few more than asked for are looked at again in float64.
_MARGIN = 3
_BLOCK_ELEMENTS = 2**22  # float64 numbers gathered at once: 32 MiB
# Exact duplicates get the same score up to the last bits of a sum; rounded, the sample id decides between them.
_DECIMALS = 12


def neighbour_centrality(vectors: NDArray[np.floating], *, neighbours: int = 5) -> NDArray[np.float64]:
    """Mean cosine to the k nearest neighbours among the given vectors, itself excluded by row (Eq. 7).

    An exact duplicate of an image is a neighbour like any other.

    Args:
        vectors: `(n, d)` of the images of one cluster outside the reference set; L2-normalised here.
        neighbours: k, at least 1; `n - 1` where there are fewer.

    Returns:
        `(n,)` float64 in [-1, 1], higher means more representative; 0 for a cluster of one.

    Raises:
        ValueError: `neighbours` is below 1 or a vector cannot be normalised.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours is {neighbours}; at least 1 is needed")
    unit = normalise(vectors, np.float64)  # (n, d)
    count = len(unit)
    kept = min(neighbours, count - 1)
    centrality = np.zeros(count, dtype=np.float64)  # (n,)
    if kept < 1:
        return centrality
    candidates = _nearest_rows(unit, min(kept + 1 + _MARGIN, count))  # (n, c)
    block = max(1, _BLOCK_ELEMENTS // (candidates.shape[1] * unit.shape[1]))
    for start in range(0, count, block):
        rows = candidates[start : start + block]  # (block, c)
        cosines = np.einsum("bd,bcd->bc", unit[start : start + block], unit[rows])  # (block, c)
        cosines[rows == np.arange(start, start + len(rows))[:, np.newaxis]] = -np.inf
        cosines.sort(axis=1)
        centrality[start : start + block] = cosines[:, -kept:].mean(axis=1)
    rounded: NDArray[np.float64] = centrality.clip(-1, 1).round(_DECIMALS)
    return rounded


def _nearest_rows(unit: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    single = unit.astype(np.float32)  # (n, d)
    return nearest(single, single, count, metric="inner product")[1]  # (n, count)


def order_by_centrality(centrality: NDArray[np.float64], sample_ids: Sequence[str]) -> NDArray[np.int64]:
    """Rows in the order in which they are picked: highest centrality first, ties by sample id.

    Args:
        centrality: `(n,)`, higher means more representative.
        sample_ids: `n` distinct ids.

    Returns:
        `(n,)` int64 row numbers.

    Raises:
        ValueError: the lengths differ.
    """
    if len(centrality) != len(sample_ids):
        raise ValueError(f"{len(centrality)} scores but {len(sample_ids)} sample ids; give one id per score")
    scores = centrality.tolist()
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], sample_ids[row]))
    return np.array(order, dtype=np.int64)
