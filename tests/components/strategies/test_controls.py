from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.schemas import SAMPLES
from components.selection.allocation_rounding import even_quotas
from components.strategies.full.select import select_everything
from components.strategies.random.select import select_uniformly
from components.strategies.uniform_task.select import select_uniform_task


def make_samples(sizes):
    rows = [
        {"sample_id": f"{task}/{number:03d}", "task": task, "image_sha": "", "uri": "", "source": "", "record_ids": []}
        for task, size in sizes.items()
        for number in range(size)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def picked(table):
    return [row["sample_id"] for row in table.to_pylist() if row["picked"]]


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30), min_size=1), st.integers(0, 200))
def test_even_quotas(sizes, total):
    quotas = even_quotas(sizes, total)
    assert sum(quotas.values()) == min(total, sum(sizes.values()))
    most = max(quotas.values())
    for task, quota in quotas.items():
        assert quota <= sizes[task]
        assert quota >= min(sizes[task], most - 1)


@given(st.integers(0, 50), st.integers(0, 3))
def test_random_picks_the_budget_whatever_the_order(budget, seed):
    samples = make_samples({"a": 25, "b": 15})
    chosen = [
        picked(select_uniformly(table, budget=budget, rng=np.random.default_rng(seed)))
        for table in (samples, samples.take(np.random.default_rng(1).permutation(40)))
    ]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == min(budget, 40)


def test_uniform_task_takes_the_same_from_every_task_and_says_so():
    table = select_uniform_task(make_samples({"a": 30, "b": 20, "c": 4}), budget=24, seed=3)
    assert Counter(name[0] for name in picked(table)) == {"a": 10, "b": 10, "c": 4}
    reasons = {(row["task"], row["picked"]): row["reason"] for row in table.to_pylist()}
    assert reasons["a", True] == "drawn: 10 of the 30 samples of a are"
    assert reasons["b", False] == "not drawn: 10 of the 20 samples of b are"


def test_a_new_task_does_not_change_the_draw_within_the_others():
    before = picked(select_uniform_task(make_samples({"a": 30, "b": 30}), budget=20, seed=3))
    after = picked(select_uniform_task(make_samples({"a": 30, "b": 30, "c": 30}), budget=30, seed=3))
    assert [name for name in after if name[0] != "c"] == before


def test_a_total_below_nothing_is_named():
    with pytest.raises(ValueError, match="cannot take -1 samples"):
        even_quotas({"a": 3, "b": 4}, -1)


def test_full_takes_everything():
    table = select_everything(make_samples({"a": 3, "b": 2}))
    assert len(picked(table)) == 5
    assert table["copies"].to_pylist() == [1] * 5
