"""Greedy MMD: ours against the objective computed anew for every candidate (`python -m bench.greedy_mmd`)."""

import argparse
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.k_means import draw_vectors
from bench.results import Row, out_option, publish
from components.strategies.coincide.gaussian_kernel import GAMMA, gaussian_kernel
from components.strategies.coincide.greedy_mmd import greedy_mmd, greedy_picks


def anew(kernel: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The released algorithm as it is described: every pick tries every candidate with all picks so far."""
    picks: list[int] = []
    for _ in range(count):
        lowest, best = np.inf, -1
        for candidate in range(len(kernel)):
            if candidate in picks:
                continue
            chosen = [*picks, candidate]
            objective = kernel[np.ix_(chosen, chosen)].mean() - 2 * kernel[chosen].mean()
            if objective < lowest:
                lowest, best = objective, candidate
        picks.append(best)
    return np.array(picks, dtype=np.int64)


def incremental(kernel: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The component's picking."""
    return greedy_picks(kernel.mean(axis=1), kernel.__getitem__, count)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both on one cluster; the picks must be the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--picks", type=int, default=200)
    parser.add_argument("--dimensions", type=int, default=1024)
    out_option(parser)
    options = parser.parse_args(arguments)
    vectors = draw_vectors(options.members, options.dimensions, 10, spread=1.0, seed=0).astype(np.float64)
    start = time.perf_counter()
    kernel = gaussian_kernel(vectors, vectors, GAMMA["released"])  # (n, n), which both need
    kernel_seconds = time.perf_counter() - start
    incremental(kernel, 2)  # the first call pays for what is set up once
    seconds: list[float] = []
    picks: list[NDArray[np.int64]] = []
    for method in (anew, incremental):
        start = time.perf_counter()
        picks.append(method(kernel, options.picks))
        seconds.append(time.perf_counter() - start)
    if not np.array_equal(picks[0], greedy_mmd(vectors, kernel.mean(axis=1), options.picks, gamma=GAMMA["released"])):
        raise SystemExit("the component does not pick what the released algorithm picks")
    rows: list[Row] = [
        {
            "method": name,
            "members": options.members,
            "picks": options.picks,
            "seconds to pick": taken,
            "speed-up": seconds[0] / taken,
            "kernel before it, seconds": kernel_seconds,
        }
        for name, taken in zip(("objective anew for every candidate", "ours, incremental"), seconds, strict=True)
    ]
    publish(rows, packages=("numpy",), out=options.out)


if __name__ == "__main__":
    main()
