"""k-means: our ways for few, many and very many clusters, sklearn's and faiss's (`python -m bench.k_means`)."""

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from unittest.mock import patch

import faiss
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from bench.results import FAISS, Row, out_option, publish
from components.selection import cluster_parts, clustering, flat_index
from components.selection.clustering import k_means

Vectors = NDArray[np.float32]
Method = Callable[[Vectors, int], float]  # vectors and number of clusters to inertia

# Name: groups per cluster asked for, spread of a group.
_DATA = {"ungrouped": (0, 1.0), "grouped": (1, 0.5), "overlapping": (2, 1.0)}


def _sklearn(starts: int) -> Method:
    return lambda vectors, clusters: KMeans(clusters, n_init=starts, random_state=0).fit(vectors).inertia_


def _ours(vectors: Vectors, clusters: int) -> float:
    return k_means(vectors, clusters, seed=0).inertia


def _with_swaps(restarts: int) -> Method:
    """The way of few clusters, for however many."""
    return patch.object(clustering, "FEW", sys.maxsize)(
        lambda vectors, clusters: k_means(vectors, clusters, seed=0, restarts=restarts).inertia
    )


def _without_swaps(restarts: int) -> Method:
    return patch.object(clustering, "_SWAPS", 0)(_with_swaps(restarts))


def _in_parts(parts: int) -> Method:
    """The way of very many vectors, for however few."""

    def method(vectors: Vectors, clusters: int) -> float:
        size = len(vectors) // parts
        with patch.object(cluster_parts, "LARGE", len(vectors) - 1), patch.object(cluster_parts, "PART", size):
            return _ours(vectors, clusters)

    return method


@patch.object(flat_index, "blas_on_one_thread", nullcontext)
@patch.object(flat_index, "_ROWS", sys.maxsize)
def _on_all_threads(vectors: Vectors, clusters: int) -> float:
    """Matrix products on all threads, which wait for each other; cut by the library, other bits on other machines."""
    return float(inspect.unwrap(k_means)(vectors, clusters, seed=0).inertia)


def _faiss(vectors: Vectors, clusters: int) -> float:
    model = faiss.Kmeans(vectors.shape[1], clusters, niter=25, seed=0)
    model.train(vectors)
    return float(model.index.search(vectors, 1)[0].sum(dtype=np.float64))


_METHODS: dict[str, Method] = {
    "sklearn, 10 starts": _sklearn(10),
    "sklearn, 1 start": _sklearn(1),
    "faiss as it comes": _faiss,
    "4 starts, swaps": _with_swaps(4),
    "4 starts, no swaps": _without_swaps(4),
    "1 start, swaps": _with_swaps(1),
    "1 start, no swaps": _without_swaps(1),
    "exchanges": _ours,
    "exchanges in 8 parts": _in_parts(8),
    "exchanges, BLAS on all threads": _on_all_threads,
}


def draw_vectors(count: int, width: int, groups: int, *, spread: float, seed: int) -> Vectors:
    """Unit vectors around `groups` centres of skewed sizes; no groups: a normal distribution.

    Args:
        count: n.
        width: d.
        groups: centres, or 0.
        spread: standard deviation around a centre, the centres having 1.
        seed: of the draw.

    Returns:
        `(n, d)` float32, rows of length one.
    """
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, width), dtype=np.float32)  # (n, d)
    if groups:
        centres = rng.standard_normal((groups, width), dtype=np.float32)  # (groups, d)
        members = rng.choice(groups, count, p=rng.dirichlet(np.ones(groups)))  # (n,)
        vectors = centres[members] + np.float32(spread) * vectors
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def main(arguments: Sequence[str] | None = None) -> None:
    """Time methods on data sets and print inertia and time, also relative to the first method's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--data", nargs="+", choices=_DATA, default=list(_DATA))
    parser.add_argument("--methods", nargs="+", choices=_METHODS, default=list(_METHODS))
    out_option(parser)
    options = parser.parse_args(arguments)
    count, width, clusters = options.vectors, options.dimensions, options.clusters
    methods = {method: _METHODS[method] for method in options.methods}
    rows: list[Row] = []
    for name in options.data:
        groups_per_cluster, spread = _DATA[name]
        vectors = draw_vectors(count, width, groups_per_cluster * clusters, spread=spread, seed=1)
        measured = {method: _measure(function, vectors, clusters) for method, function in methods.items()}
        reference = measured[options.methods[0]]
        rows += [
            {
                "data": name,
                "method": method,
                "inertia": inertia,
                "inertia ratio": round(inertia / reference[0], 4),
                "processor seconds": round(seconds, 2),
                "time ratio": round(seconds / reference[1], 3),
                "wall ratio": round(wall / reference[2], 3),
            }
            for method, (inertia, seconds, wall) in measured.items()
        ]
    publish(rows, packages=(*FAISS, "numpy", "scikit-learn"), out=options.out)


def _measure(function: Method, vectors: Vectors, clusters: int) -> tuple[float, float, float]:
    # Processor time of all threads: fair also while the machine does other things.
    start, began = time.process_time(), time.perf_counter()
    inertia = float(function(vectors, clusters))
    return inertia, time.process_time() - start, time.perf_counter() - began


if __name__ == "__main__":
    main()
