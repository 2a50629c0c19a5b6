"""The strategies that do not look at images: their selections in the form of all others."""

from collections import Counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.schemas import CHOSEN, SELECTION
from components.selection.cluster_tasks import task_seed
from components.selection.even_quotas import even_quotas
from components.selection.select import select_random


def select_uniformly(samples: pa.Table, *, budget: int, rng: np.random.Generator) -> pa.Table:
    """Strategy `random`: the budget, uniformly from the pool.

    Args:
        samples: SAMPLES.
        budget: samples to pick; above the pool all of it.
        rng: source of the draw.

    Returns:
        SELECTION, sorted by sample_id.
    """
    count = min(budget, samples.num_rows)
    picked = _draw(samples["sample_id"].to_pylist(), count, rng)
    words = f"{count:,} of the pool's {samples.num_rows:,} samples"
    return _selection(samples, picked, np.full(samples.num_rows, count), [words] * samples.num_rows)


def select_uniform_task(samples: pa.Table, *, budget: int, seed: int) -> pa.Table:
    """Strategy `uniform_task`: the same number from every task, uniformly within it.

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
        picked[rows] = _draw(ids[rows].tolist(), quota, np.random.default_rng(task_seed(seed, task)))
    words = [f"{quotas[task]:,} of the {sizes[task]:,} samples of {task}" for task in tasks.tolist()]
    return _selection(samples, picked, np.array([quotas[task] for task in tasks.tolist()]), words)


def select_everything(samples: pa.Table) -> pa.Table:
    """Strategy `full`: the whole pool.

    Args:
        samples: SAMPLES.

    Returns:
        SELECTION, sorted by sample_id.
    """
    count = samples.num_rows
    return _selection(
        samples, np.ones(count, dtype=np.bool_), np.full(count, count), [f"all {count:,} samples"] * count
    )


def _draw(sample_ids: list[str], count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    return select_random(sample_ids, np.zeros(len(sample_ids), dtype=np.bool_), budget=count, rng=rng)


def _selection(samples: pa.Table, picked: NDArray[np.bool_], quota: NDArray[np.int64], words: list[str]) -> pa.Table:
    count = samples.num_rows
    reasons = [f"{'drawn' if drawn else 'not drawn'}: {text} are" for drawn, text in zip(picked, words, strict=True)]
    columns = [
        *(samples[name] for name in CHOSEN.names),
        pa.array(np.full(count, -1)),
        pa.array(np.zeros(count, dtype=bool)),
        pa.array(np.full(count, np.nan)),
        pa.array(np.zeros(count, dtype=np.int64)),
        pa.array(quota.astype(np.int64)),
        pa.array(picked),
        pa.array(picked.astype(np.int64)),
        pa.array(reasons, pa.string()),
    ]
    return pa.table(columns, schema=SELECTION).sort_by("sample_id").combine_chunks()
