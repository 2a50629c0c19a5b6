"""Neighbour centrality: ours against other ways to compute it (`python -m bench.neighbour_centrality`)."""

import argparse
import time
import tracemalloc
from collections.abc import Callable, Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.k_means import draw_vectors
from bench.results import FAISS, Row, out_option, publish
from components.selection.neighbour_centrality import neighbour_centrality

_NEIGHBOURS = 5
_LOOP_LIMIT = 1000  # vectors above which the double loop takes too long
_MATRIX_LIMIT = 12_000  # vectors above which the full matrix takes more than a gigabyte

Scores = NDArray[np.floating]


def ours(unit: NDArray[np.float32]) -> Scores:
    """The component."""
    return neighbour_centrality(unit, neighbours=_NEIGHBOURS)


def double_loop(unit: NDArray[np.float32]) -> Scores:
    """One cosine at a time."""
    scores = np.zeros(len(unit))
    for row, vector in enumerate(unit):
        cosines = [float(vector @ other) for at, other in enumerate(unit) if at != row]
        scores[row] = np.mean(sorted(cosines)[-_NEIGHBOURS:])
    return scores


def full_matrix(unit: NDArray[np.float32]) -> Scores:
    """All cosines at once, float32."""
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    scores: Scores = np.partition(cosines, len(unit) - _NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:].mean(axis=1)
    return scores


def faiss_flat(unit: NDArray[np.float32]) -> Scores:
    """Exact search in faiss, float32, first hit dropped as the released code does."""
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    scores: Scores = index.search(unit, _NEIGHBOURS + 1)[0][:, 1:].mean(axis=1)
    return scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Time every method on clusters of several sizes; print time, peak memory and agreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 5000, 20_000])
    out_option(parser)
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for size in options.sizes:
        unit = draw_vectors(size, options.dimensions, 10, spread=1.0, seed=size)
        reference = ours(unit)
        limits: dict[Callable[[NDArray[np.float32]], Scores], int] = {
            ours: size,
            double_loop: _LOOP_LIMIT,
            full_matrix: _MATRIX_LIMIT,
            faiss_flat: size,
        }
        for method, limit in limits.items():
            if size > limit:
                continue
            seconds, mebibytes, scores = _measure(method, unit)
            rows.append(
                {
                    "images in the cluster": f"{size:,}",
                    "method": method.__name__,
                    "processor seconds": seconds,
                    "numpy peak MiB": round(mebibytes, 1),
                    "largest difference from ours": float(np.abs(scores - reference).max()),
                }
            )
    publish(rows, packages=(*FAISS, "numpy"), out=options.out)


def _measure(method: Callable[[NDArray[np.float32]], Scores], unit: NDArray[np.float32]) -> tuple[float, float, Scores]:
    """Best of three processor times while they are short; memory in a run of its own, as tracing costs time."""
    times: list[float] = []
    while not times or (len(times) < 3 and sum(times) < 2):
        start = time.process_time()
        scores = method(unit)
        times.append(time.process_time() - start)
    peak = 0
    if method is not double_loop:
        tracemalloc.start()
        method(unit)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return min(times), peak / 2**20, scores


if __name__ == "__main__":
    main()
