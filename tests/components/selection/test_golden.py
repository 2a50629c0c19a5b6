"""Importance, allocation and selection against the released code."""

import numpy as np
import pytest

from components.selection.allocation import allocate
from components.selection.cluster_cells import count_cluster_cells
from components.selection.select import select_samples
from components.strategies.presel.task_importance import importance_temperature, task_importance
from tests.components.selection.golden import NAMES, load_golden


@pytest.mark.parametrize("name", NAMES)
def test_importance_is_the_released_codes(name):
    pool = load_golden(name)
    importance = task_importance(pool.score_tasks, pool.scores)
    assert [item.task for item in importance] == sorted(set(pool.tasks))
    assert [item.score for item in importance] == pytest.approx(pool.mean_scores, rel=1e-15)
    assert [item.weight for item in importance] == pytest.approx(pool.weights, rel=1e-14)
    assert importance_temperature(len(importance)) == pool.temperature


@pytest.mark.parametrize("name", NAMES)
def test_profile_released_picks_what_the_released_code_picks(name):
    pool = load_golden(name)
    importance = task_importance(pool.score_tasks, pool.scores)
    cells = count_cluster_cells(pool.tasks, pool.clusters, pool.is_reference)
    allocation = allocate(
        cells.tasks,
        cells.sizes,
        cells.available,
        {item.task: item.weight for item in importance},
        budget=pool.to_select,
        profile="released",
    )
    # What the released code calls a task's part is before it is capped at what the task has.
    due = dict(zip(sorted(set(pool.tasks)), pool.task_quotas, strict=True))
    assert {task.task: task.quota for task in allocation.tasks if task.available >= due[task.task]} == {
        task: quota for task, quota in due.items() if quota <= _available(pool, task)
    }
    assert all(task.quota <= due[task.task] for task in allocation.tasks)
    assert allocation.unspent == pool.to_select - len(pool.picked)
    result = select_samples(
        pool.sample_ids,
        pool.tasks,
        pool.clusters,
        pool.is_reference,
        pool.vectors,
        cells=cells,
        quotas=allocation.quotas,
    )
    assert {pool.sample_ids[row] for row in np.flatnonzero(result.picked)} == pool.picked


def _available(pool, task):
    return sum(of == task and not taken for of, taken in zip(pool.tasks, pool.is_reference, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_one_task_at_a_time_picks_the_same(name):
    pool = load_golden(name)
    cells = count_cluster_cells(pool.tasks, pool.clusters, pool.is_reference)
    weights = dict(zip(sorted(set(pool.tasks)), pool.weights, strict=True))
    quotas = allocate(
        cells.tasks, cells.sizes, cells.available, weights, budget=pool.to_select, profile="released"
    ).quotas
    picked = set()
    for task in weights:
        rows = np.flatnonzero(np.array(pool.tasks) == task)
        ids = [pool.sample_ids[row] for row in rows]
        result = select_samples(
            ids,
            [task] * len(ids),
            pool.clusters[rows],
            pool.is_reference[rows],
            pool.vectors[rows],
            cells=cells,
            quotas=quotas,
        )
        picked |= {ids[row] for row in np.flatnonzero(result.picked)}
    assert picked == pool.picked


@pytest.mark.parametrize("name", NAMES)
def test_profile_exact_spends_all_and_stays_within_an_image_of_the_released_task_quotas(name):
    pool = load_golden(name)
    cells = count_cluster_cells(pool.tasks, pool.clusters, pool.is_reference)
    weights = dict(zip(sorted(set(pool.tasks)), pool.weights, strict=True))
    allocation = allocate(cells.tasks, cells.sizes, cells.available, weights, budget=pool.to_select, profile="exact")
    assert allocation.quotas.sum() == pool.to_select
    # The released code gives the whole remainder, up to one image per task, to one task.
    assert all(
        abs(task.quota - released) < len(weights)
        for task, released in zip(allocation.tasks, pool.task_quotas, strict=True)
    )
