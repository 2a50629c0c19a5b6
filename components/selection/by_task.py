"""A pool task by task, each with a seed of its own."""

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc


def tasks_of(samples: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Each task, by name, with its rows in their order."""
    for task in sorted(pc.unique(samples["task"]).to_pylist()):
        yield task, samples.filter(pc.equal(samples["task"], task))


def task_seed(seed: int, task: str) -> int:
    """A seed of its own for every task."""
    digest = hashlib.sha256(f"{seed}\0{task}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
