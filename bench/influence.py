"""Influence: ours in two passes against the matrix of all cosines per task (`python -m bench.influence`)."""

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.results import Row, out_option, publish
from components.compute.local import LocalEngine
from components.strategies.tive.influence import instance_influence

_ROWS = 2048  # of a block, as the store gives them


def ours(gradients: NDArray[np.float32], task_of_row: NDArray[np.int64]) -> NDArray[np.float64]:
    """The component, fed in blocks."""

    def blocks() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(gradients), _ROWS):
            rows = np.arange(start, min(start + _ROWS, len(gradients)))
            yield rows, gradients[start : start + _ROWS]

    return instance_influence(blocks, task_of_row, engine=LocalEngine())


def all_pairs(gradients: NDArray[np.float32], task_of_row: NDArray[np.int64]) -> NDArray[np.float64]:
    """The released algorithm as it is described: per task, the cosines of all pairs, then the mean of each row."""
    influence = np.empty(len(gradients))
    for task in np.unique(task_of_row):
        rows = task_of_row == task
        unit = gradients[rows]
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        influence[rows] = (unit @ unit.T).mean(axis=1, dtype=np.float64)
    return influence


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both on the same gradients; the results must agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=8192)
    parser.add_argument("--tasks", type=int, default=5)
    out_option(parser)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((options.samples, options.dimension), dtype=np.float32)
    task_of_row = rng.integers(0, options.tasks, options.samples)
    gradients += rng.standard_normal((options.tasks, options.dimension), dtype=np.float32)[task_of_row] / 4
    methods: dict[str, Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float64]]] = {
        "cosines of all pairs": all_pairs,
        "ours, two passes": ours,
    }
    rows: list[Row] = []
    results = []
    for name, method in methods.items():
        tracemalloc.start()
        start = time.perf_counter()
        results.append(method(gradients, task_of_row))
        seconds = time.perf_counter() - start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append(
            {
                "method": name,
                "samples": options.samples,
                "numbers per gradient": options.dimension,
                "seconds": seconds,
                "speed-up": float(rows[0]["seconds"]) / seconds if rows else 1.0,
                "peak MiB beside the gradients": round(peak / 2**20, 1),
                "largest difference": float(np.abs(results[0] - results[-1]).max()),
            }
        )
    if not np.allclose(results[0], results[1], atol=1e-5):
        raise SystemExit("the two do not agree")
    publish(rows, packages=("numpy",), out=options.out)


if __name__ == "__main__":
    main()
