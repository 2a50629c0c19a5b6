import weakref
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.compute.local import LocalEngine
from components.schemas import CLUSTERS
from components.selection.cluster_cells import count_cluster_cells
from components.selection.select_pool import select_pool
from tests.shuffled_engine import ShuffledEngine

ROWS = 60
VECTORS = np.random.default_rng(5).standard_normal((ROWS, 6)).astype(np.float32)


def select(engine, load):
    tasks = [("horse", "cat", "mouse")[number % 3] for number in range(ROWS)]
    columns = [
        [f"{task}/{number:02d}" for number, task in enumerate(tasks)],
        tasks,
        [str(number) for number in range(ROWS)],
        [number // 3 % 2 for number in range(ROWS)],
        np.zeros(ROWS, dtype=np.float32),
    ]
    clusters = pa.table(columns, schema=CLUSTERS).sort_by("sample_id")
    reference, kept = clusters["sample_id"].combine_chunks()[:3], clusters["sample_id"].combine_chunks()[3:5]
    is_reference = np.asarray(pc.is_in(clusters["sample_id"], value_set=reference))
    cells = count_cluster_cells(clusters["task"].to_pylist(), clusters["cluster"].to_numpy(), is_reference)
    quotas = np.full(len(cells.tasks), 4)
    return select_pool(
        clusters, reference, load, cells=cells, quotas=quotas, neighbours=2, kept_ids=kept, engine=engine
    )


def test_elsewhere_the_selection_is_the_same():
    def load(shas):
        return VECTORS[[int(sha) for sha in shas]]

    here = select(LocalEngine(), load)
    assert repr(select(ShuffledEngine(), load).to_pylist()) == repr(here.to_pylist())  # NaN among the numbers
    assert pc.sum(here["picked"]).as_py() == 6 * 4
    assert here["sample_id"].to_pylist() == sorted(here["sample_id"].to_pylist())


def test_on_this_machine_one_tasks_vectors_are_in_memory_at_a_time():
    read: list[weakref.ref[Any]] = []

    def load(shas):
        assert all(one() is None for one in read)
        vectors = VECTORS[[int(sha) for sha in shas]]
        read.append(weakref.ref(vectors))
        return vectors

    select(LocalEngine(), load)
    assert len(read) == 3
