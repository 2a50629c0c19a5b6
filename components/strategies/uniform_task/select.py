"""The same number from every task, uniformly within it."""

from collections import Counter

import numpy as np
import pyarrow as pa

from components.selection.allocation_rounding import even_quotas
from components.selection.by_task import task_seed
from components.selection.drawn_selection import draw, drawn_selection
from components.text import shortened


def select_uniform_task(samples: pa.Table, *, budget: int, seed: int) -> pa.Table:
    """Draw as many from every task.

    Args:
        samples: SAMPLES.
        budget: samples to pick; above the pool all of it.
        seed: each task's own seed derives from it and the task's name.

    Returns:
        SELECTION, sorted by sample_id.
    """
    tasks = np.array(samples["task"].to_pylist())
    sizes = Counter(tasks.tolist())
    quotas = even_quotas(sizes, budget)
    ids = np.array(samples["sample_id"].to_pylist())
    picked = np.zeros(len(ids), dtype=np.bool_)  # (n,)
    for task, quota in quotas.items():
        rows = np.flatnonzero(tasks == task)
        picked[rows] = draw(ids[rows].tolist(), quota, rng=np.random.default_rng(task_seed(seed, task)))
    words = [f"{quotas[task]:,} of the {sizes[task]:,} samples of {shortened(task)}" for task in tasks.tolist()]
    return drawn_selection(samples, picked, np.array([quotas[task] for task in tasks.tolist()]), words)
