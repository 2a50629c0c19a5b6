"""k-means: ours against sklearn's and faiss's own, inertia and time in one run (`python -m bench.k_means`)."""

import argparse
import time
from collections.abc import Callable, Sequence

import faiss
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from bench.results import Row, out_option, publish
from components.selection.clustering import k_means

Vectors = NDArray[np.float32]

# Name: groups per cluster asked for, spread of a group.
_DATA = {"ungrouped": (0, 1.0), "grouped": (1, 0.5), "overlapping": (2, 1.0)}


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
    """Time every method on every data set and print inertia and time relative to sklearn's ten starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--data", nargs="+", choices=_DATA, default=list(_DATA))
    out_option(parser)
    options = parser.parse_args(arguments)
    count, width, clusters = options.vectors, options.dimensions, options.clusters

    def sklearn_inertia(starts: int) -> Callable[[Vectors], float]:
        return lambda vectors: KMeans(clusters, n_init=starts, random_state=0).fit(vectors).inertia_

    def our_inertia(restarts: int) -> Callable[[Vectors], float]:
        return lambda vectors: k_means(vectors, clusters, seed=0, iterations=100, restarts=restarts).inertia

    def faiss_inertia(vectors: Vectors) -> float:
        model = faiss.Kmeans(width, clusters, niter=25, seed=0)
        model.train(vectors)
        return float(model.index.search(vectors, 1)[0].sum(dtype=np.float64))

    methods = {
        "sklearn, 10 starts": sklearn_inertia(10),
        "sklearn, 1 start": sklearn_inertia(1),
        "faiss as it comes": faiss_inertia,
        "ours, 1 start": our_inertia(1),
        "ours, 4 starts": our_inertia(4),
    }
    rows: list[Row] = []
    for name in options.data:
        groups_per_cluster, spread = _DATA[name]
        vectors = draw_vectors(count, width, groups_per_cluster * clusters, spread=spread, seed=1)
        measured = {method: _measure(function, vectors) for method, function in methods.items()}
        reference = measured["sklearn, 10 starts"]
        rows += [
            {
                "data": name,
                "method": method,
                "inertia": inertia,
                "inertia ratio": round(inertia / reference[0], 4),
                "processor seconds": round(seconds, 2),
                "time ratio": round(seconds / reference[1], 3),
            }
            for method, (inertia, seconds) in measured.items()
        ]
    publish(rows, packages=("faiss-cpu", "numpy", "scikit-learn"), out=options.out)


def _measure(function: Callable[[Vectors], float], vectors: Vectors) -> tuple[float, float]:
    # Processor time of all threads: fair also while the machine does other things.
    start = time.process_time()
    inertia = float(function(vectors))
    return inertia, time.process_time() - start


if __name__ == "__main__":
    main()
