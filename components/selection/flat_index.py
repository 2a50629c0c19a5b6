"""All that is asked of faiss: exact neighbours and Lloyd's iterations, on every GPU that it finds.

The packages faiss-cpu and faiss-gpu are one module, of which the former finds no GPU. A GPU adds in another order than
a CPU, which may change the last bits of a distance, as the number of threads may of `lloyd`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from components.errors import UserError

# Queries that a thread takes at a time on a CPU: always the same, as a product depends on how it is cut.
_ROWS = 4096
# Products of two numbers from which a GPU is worth it: a core takes a third of a second for them, and a GPU as long to
# be made ready. What faiss takes of a GPU's memory it gives back after each call, so that a model finds it free.
WORTH_A_GPU = 2**34


class FaissMissingError(UserError, ImportError):
    """Neither package that brings faiss is installed."""


try:
    import faiss
except ModuleNotFoundError as error:
    if error.name != "faiss":
        raise
    raise FaissMissingError(
        "faiss is not installed, which clusters and neighbours need: pip install --constraint constraints.txt "
        '".[cpu]", or ".[gpu]" on a machine with an NVIDIA GPU (one of them, not both)'
    ) from error

_LIBRARIES = ThreadpoolController()  # those that are loaded by now: numpy's and faiss's


def nearest(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    count: int,
    *,
    metric: Literal["squared distance", "inner product"],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `count` nearest of the vectors `(k, d)` to each of the queries `(n, d)`, exactly.

    Args:
        queries: `(n, d)` float32.
        vectors: `(k, d)` float32.
        count: 1 to k.
        metric: what is returned, and whether the least of it is nearest (squared Euclidean distance) or the most.

    Returns:
        `(n, count)` float32, nearest first, and the `(n, count)` int64 rows of the vectors.
    """
    width = vectors.shape[1]
    flat = faiss.IndexFlatL2(width) if metric == "squared distance" else faiss.IndexFlatIP(width)
    gpus = _gpus(len(queries), *vectors.shape)
    index = faiss.index_cpu_to_all_gpus(flat, ngpu=gpus) if gpus else flat
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    if gpus or len(queries) <= _ROWS:
        with blas_on_one_thread():
            values, rows = index.search(queries, count)  # (n, count), (n, count)
        return values, rows

    def search(start: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        faiss.omp_set_num_threads(1)  # of this thread
        found: tuple[NDArray[np.float32], NDArray[np.int64]] = index.search(queries[start : start + _ROWS], count)
        return found

    with blas_on_one_thread(), ThreadPoolExecutor(faiss.omp_get_max_threads()) as threads:
        parts = list(threads.map(search, range(0, len(queries), _ROWS)))
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Matrix products come out the same on any number of cores, and their threads do not wait for each other."""
    with _LIBRARIES.limit(limits=1, user_api="blas"):
        yield


def lloyd(
    vectors: NDArray[np.float32],
    clusters: int,
    *,
    iterations: int,
    start: NDArray[np.float32] | int,
    spherical: bool = False,
) -> NDArray[np.float32]:
    """Run Lloyd's iterations over all vectors; they end early when nothing changes.

    Args:
        vectors: `(n, d)` float32.
        clusters: k, 1 to n.
        iterations: at most.
        start: the first centroids, `(k, d)` float32, or the seed by which they are drawn among the vectors.
        spherical: cluster by inner product, and keep centroids at unit length.

    Returns:
        `(k, d)` float32 centroids; one may be nearest to no vector.
    """
    drawn = isinstance(start, int)
    k_means = faiss.Kmeans(
        vectors.shape[1],
        clusters,
        niter=iterations,
        spherical=spherical,
        seed=start if drawn else 0,
        gpu=_gpus(len(vectors), clusters, vectors.shape[1]),
        # All vectors count: by default faiss looks at 256 per centroid, and warns below 39.
        max_points_per_centroid=len(vectors) + 1,
        min_points_per_centroid=1,
    )
    k_means.train(vectors, init_centroids=None if drawn else np.ascontiguousarray(start))
    return np.array(k_means.centroids, dtype=np.float32)


def _gpus(queries: int, vectors: int, width: int) -> int:
    """How many GPUs share a search; 0 is on the CPU."""
    return faiss.get_num_gpus() if queries * vectors * width >= WORTH_A_GPU else 0
