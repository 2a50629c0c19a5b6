"""Greedy MMD: ours against the objective computed anew for every candidate (`python -m bench.greedy_mmd`)."""

import argparse
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.k_means import draw_vectors
from bench.results import Row, out_option, publish
from components.selection.gaussian_kernel import GAMMA, gaussian_kernel
from components.selection.greedy_mmd import greedy_mmd


def anew(vectors: NDArray[np.float64], count: int, *, gamma: float) -> NDArray[np.int64]:
    """The released algorithm as it is described: every pick tries every candidate with all picks so far."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    kernel = np.exp(-gamma * np.maximum(squares[:, np.newaxis] + squares - 2 * vectors @ vectors.T, 0))  # (n, n)
    picks: list[int] = []
    for _ in range(count):
        lowest, best = np.inf, -1
        for candidate in range(len(vectors)):
            if candidate in picks:
                continue
            chosen = [*picks, candidate]
            objective = kernel[np.ix_(chosen, chosen)].mean() - 2 * kernel[chosen].mean()
            if objective < lowest:
                lowest, best = objective, candidate
        picks.append(best)
    return np.array(picks, dtype=np.int64)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both on one cluster; the picks must be the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--picks", type=int, default=200)
    # The kernel of all pairs, which both need, costs O(n^2 d): few dimensions show the picking, many the whole.
    parser.add_argument("--dimensions", type=int, nargs="+", default=[16, 1024])
    out_option(parser)
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for width in options.dimensions:
        rows += _time(options.members, options.picks, width)
    publish(rows, packages=("numpy",), out=options.out)


def _time(members: int, count: int, width: int) -> list[Row]:
    vectors = draw_vectors(members, width, 10, spread=1.0, seed=0).astype(np.float64)
    greedy_mmd(vectors, 2, gamma=GAMMA["released"])  # the first call pays for what is set up once
    seconds: list[float] = []
    picks: list[NDArray[np.int64]] = []
    for method in (anew, greedy_mmd):
        start = time.perf_counter()
        picks.append(method(vectors, count, gamma=GAMMA["released"]))
        seconds.append(time.perf_counter() - start)
    if not np.array_equal(picks[0], picks[1]):
        raise SystemExit("the two do not pick the same")
    start = time.perf_counter()
    gaussian_kernel(vectors, vectors, GAMMA["released"]).sum(axis=1)
    kernel_seconds = time.perf_counter() - start
    names = ("objective anew for every candidate", "ours, incremental")
    picking = [taken - kernel_seconds for taken in seconds]
    return [
        {
            "method": name,
            "members": members,
            "dimensions": width,
            "picks": count,
            "seconds": taken,
            "of that the kernel of all pairs": kernel_seconds,
            "speed-up": seconds[0] / taken,
            "speed-up of the picking": picking[0] / own,
        }
        for name, taken, own in zip(names, seconds, picking, strict=True)
    ]


if __name__ == "__main__":
    main()
