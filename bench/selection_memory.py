"""Peak memory of every strategy's selection (`python -m bench.selection_memory`); each runs in a process of its own."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.results import FAISS, Row, out_option, publish
from components.compute.local import LocalEngine
from components.schemas import CHOSEN

_TASKS = 10
_ROWS = 4096


def _samples(count: int) -> pa.Table:
    numbers = np.arange(count)
    tasks = [f"task {number % _TASKS}" for number in numbers]
    shas = [f"{number:064x}" for number in numbers]
    ids = [f"{task}/{number:08d}" for task, number in zip(tasks, numbers, strict=True)]
    return pa.table([ids, tasks, shas], schema=CHOSEN).sort_by("sample_id").combine_chunks()


def _vectors(count: int, width: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((count, width), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def presel(count: int, width: int) -> None:
    """k-means per task, allocation, neighbour centrality."""
    from components.selection import cluster_tasks
    from components.selection.allocation import allocate
    from components.selection.by_task import tasks_of
    from components.selection.cluster_cells import count_cluster_cells
    from components.selection.clustering import k_means
    from components.selection.select_pool import select_pool

    samples, vectors = _samples(count), _vectors(count, width)

    def load(shas: Sequence[str]) -> NDArray[np.float32]:
        return vectors[[int(sha, 16) for sha in shas]]

    # What it takes in memory does not depend on how often it is tried: once, with few iterations.
    with patch.object(cluster_tasks, "k_means", partial(k_means, iterations=3, restarts=1)):
        found = cluster_tasks.join_clusters(
            cluster_tasks.cluster_task(
                cluster_tasks.TaskVectors(task, members, load(members["image_sha"].to_pylist())),
                images_per_cluster=100,
                seed=0,
            )
            for task, members in tasks_of(samples)
        ).clusters
    nobody = np.zeros(count, dtype=bool)
    cells = count_cluster_cells(found["task"].to_pylist(), found["cluster"].to_numpy(), nobody)
    weights = dict.fromkeys(set(cells.tasks), 1 / _TASKS)
    quotas = allocate(
        cells.tasks, cells.sizes, cells.available, weights, budget=count * 15 // 100, profile="exact"
    ).quotas
    select_pool(found, pa.array([], pa.string()), load, cells=cells, quotas=quotas, neighbours=5, engine=LocalEngine())


def tive(count: int, width: int) -> None:
    """Influence from blocks that are never all in memory, quotas, the draw."""
    from components.strategies.tive.influence import instance_influence
    from components.strategies.tive.select import influence_tables, select_by_influence

    samples = _samples(count)
    task_of_row = np.unique(samples["task"].to_pylist(), return_inverse=True)[1]

    def blocks() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, count, _ROWS):
            rows = np.arange(start, min(start + _ROWS, count))
            yield rows, np.random.default_rng(start).standard_normal((len(rows), width), dtype=np.float32)

    norms = np.random.default_rng(0).gamma(2, size=count)
    influence = instance_influence(blocks, task_of_row, engine=LocalEngine())
    tables = influence_tables(
        samples, norms, influence, budget=count * 15 // 100, q=0.001, self_influence="norm", rounding="exact"
    )
    select_by_influence(tables.influence, tables.difficulty, seed=0)


def coincide(count: int, width: int) -> None:
    """Spherical k-means, shares, greedy MMD; clusters of about a thousand."""
    from components.strategies.coincide.select import cluster_concepts, concept_share_table, select_by_concept

    samples, vectors = _samples(count), _vectors(count, width)
    found = cluster_concepts(
        samples, vectors, clusters=max(1, count // 1000), iterations=3, seed=0, engine=LocalEngine()
    )
    shares = concept_share_table(
        found.concepts,
        found.centroids,
        vectors,
        layers=1,
        budget=count * 15 // 100,
        temperature=0.1,
        profile="paper",
    )
    select_by_concept(found.concepts, shares, vectors, profile="paper")


STRATEGIES: dict[str, Callable[[int, int], None]] = {"presel": presel, "tive": tive, "coincide": coincide}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every strategy at every size; print peak memory beside that of the vectors and of an N x N matrix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--only", nargs=2, metavar=("STRATEGY", "SIZE"), help=argparse.SUPPRESS)
    out_option(parser)
    options = parser.parse_args(arguments)
    if options.only:
        _measure(options.only[0], int(options.only[1]), options.dimensions)
        return
    rows: list[Row] = []
    for size in options.sizes:
        for strategy in STRATEGIES:
            command = [sys.executable, "-m", "bench.selection_memory", "--only", strategy, str(size)]
            command += ["--dimensions", str(options.dimensions)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            rows.append(
                {
                    "strategy": strategy,
                    "samples": size,
                    "peak MiB": round(found["peak"], 0),
                    "vectors MiB": round(size * options.dimensions * 4 / 2**20, 0),
                    "an N x N matrix would take MiB": round(size * size * 4 / 2**20, 0),
                    "seconds": found["seconds"],
                }
            )
    publish(rows, packages=("numpy", *FAISS, "pyarrow"), out=options.out)


def _measure(strategy: str, size: int, width: int) -> None:
    start = time.perf_counter()
    STRATEGIES[strategy](size, width)
    # Of this program alone: the peak that getrusage tells of includes the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    sys.stdout.write(json.dumps({"peak": peak, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
