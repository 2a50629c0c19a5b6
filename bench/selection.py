"""A whole selection from LanceDB: cluster, allocate, select, step by step (`python -m bench.selection`).

Every run is a process of its own, so that its peak memory is its own; the database is drawn once, into `--database`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.k_means import draw_vectors
from bench.results import FAISS, Row, out_option, publish
from components.models.embedding.vector_store import image_vectors, read_vectors, stored_images
from components.schemas import CHOSEN

# Images of each task, in thousands but for the last: LLaVA-665K's tasks without its text-only rows, and one large one.
SHAPES = {
    "toy": (3_000, 12_000),
    "llava-665k": (23_000, 58_000, 77_000, 83_000, 72_000, 9_000, 80_000, 66_000, 22_000, 48_000, 85_462),
    "million": (1_000_000,),
}
_ENCODER = "drawn"
_GROUPS_PER_IMAGE = 1 / 50  # twice as many as clusters: the data `overlapping` of bench.k_means
_ROWS_PER_COMMIT = 50_000


def draw_database(directory: Path, sizes: Sequence[int], width: int) -> None:
    """Write vectors of every task, drawn with fixed seeds, as the embedding would."""
    store = image_vectors(directory, model=_ENCODER)
    with store.writing():
        for task, size in enumerate(sizes):
            vectors = draw_vectors(size, width, max(1, int(size * _GROUPS_PER_IMAGE)), spread=1.0, seed=task)
            for start in range(0, size, _ROWS_PER_COMMIT):
                block = vectors[start : start + _ROWS_PER_COMMIT]
                store.append([_sha(task, start + row) for row in range(len(block))], block)


def select(directory: Path, sizes: Sequence[int]) -> dict[str, float]:
    """Cluster, allocate 10 % and select with the shipped parameters: times, quality and peak memory."""
    # Imported in the process that measures: what it needs counts.
    from components.compute.local import LocalEngine
    from components.selection.allocation import allocate
    from components.selection.by_task import tasks_of
    from components.selection.cluster_cells import count_cluster_cells
    from components.selection.cluster_tasks import TaskVectors, cluster_task, join_clusters
    from components.selection.select_pool import select_pool

    samples = _samples(sizes)
    load = partial(read_vectors, directory, model=_ENCODER)
    measured: dict[str, float] = {}
    with _timed("cluster", measured):
        samples = samples.filter(pc.is_in(samples["image_sha"], value_set=stored_images(directory, model=_ENCODER)))
        parts = [
            cluster_task(
                TaskVectors(task, members, load(members["image_sha"].to_pylist())), images_per_cluster=100, seed=17
            )
            for task, members in tasks_of(samples)
        ]
        found = join_clusters(parts)
    with _timed("allocate", measured):
        nobody = np.zeros(samples.num_rows, dtype=bool)
        cells = count_cluster_cells(found.clusters["task"].to_pylist(), found.clusters["cluster"].to_numpy(), nobody)
        weights = dict.fromkeys(set(cells.tasks), 1 / len(sizes))
        budget = samples.num_rows // 10
        quotas = allocate(cells.tasks, cells.sizes, cells.available, weights, budget=budget, profile="exact").quotas
    with _timed("select", measured):
        none: pa.Array = pa.array([], pa.string())
        selection = select_pool(
            found.clusters, none, load, cells=cells, quotas=quotas, neighbours=5, engine=LocalEngine()
        )
    # Of this program alone: the peak that getrusage tells of includes the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    squares = np.square(found.clusters["distance"].to_numpy(), dtype=np.float64)  # (n,)
    return measured | {
        "clusters": found.centroids.num_rows,
        "mean squared distance": float(squares.mean()),
        "picked": pc.sum(selection["picked"]).as_py(),
        "peak GiB": int(status.split("VmHWM:")[1].split()[0]) / 2**20,
    }


def _samples(sizes: Sequence[int]) -> pa.Table:
    numbers = [(task, number) for task, size in enumerate(sizes) for number in range(size)]
    columns = [
        [f"task {task:02d}/{number:08d}" for task, number in numbers],
        [f"task {task:02d}" for task, _ in numbers],
        [_sha(task, number) for task, number in numbers],
    ]
    return pa.table(columns, schema=CHOSEN)


@contextmanager
def _timed(step: str, measured: dict[str, float]) -> Iterator[None]:
    wall, processor = time.perf_counter(), time.process_time()
    yield
    measured[f"{step}, wall seconds"] = time.perf_counter() - wall
    measured[f"{step}, processor seconds"] = time.process_time() - processor


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the database and measure the selection from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks-shape", choices=SHAPES, default="toy")
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--database", type=Path, help="folder to keep the drawn vectors in; default: a temporary one")
    parser.add_argument("--select-only", action="store_true", help=argparse.SUPPRESS)
    out_option(parser)
    options = parser.parse_args(arguments)
    sizes = SHAPES[options.tasks_shape]
    if options.select_only:
        sys.stdout.write(json.dumps(select(options.database, sizes)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        database = options.database or Path(temporary)
        if not any(database.glob("*.lance")):
            draw_database(database, sizes, options.dimensions)
        command = [sys.executable, "-m", "bench.selection", "--select-only", "--database", str(database)]
        command += ["--tasks-shape", options.tasks_shape]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    shape = f"{options.tasks_shape}: {sum(sizes):,} x {options.dimensions} in {len(sizes)} tasks"
    rows: list[Row] = [{"measured": name, shape: value} for name, value in json.loads(done.stdout).items()]
    publish(rows, packages=(*FAISS, "lancedb", "numpy", "pyarrow"), out=options.out)


def _sha(task: int, number: int) -> str:
    return f"{task:08x}{number:056x}"


if __name__ == "__main__":
    main()
