"""TIVE: against the released code's numbers, against slow references, and its invariants."""

from collections import Counter
from fractions import Fraction
from math import floor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.compute.local import LocalEngine
from components.schemas import CHOSEN
from components.strategies.tive.influence import instance_influence
from components.strategies.tive.influence_sampling import distance_from_uniform, draw_copies, sampling_probabilities
from components.strategies.tive.select import influence_tables, select_by_influence
from components.strategies.tive.task_difficulty import task_difficulty, tive_quotas
from components.strategies.tive.warm_up_set import choose_warm_up_set
from tests.components.selection.golden import GOLDEN
from tests.shuffled_engine import ShuffledEngine


def load(name):
    return np.load(GOLDEN / f"tive_{name}.npz", allow_pickle=False)


def tasks_in(file):
    return range(len([key for key in file.files if key.startswith("gradients_")]))


def blocks(gradients, size=77):
    rows = np.arange(len(gradients))
    return lambda: ((rows[at : at + size], gradients[at : at + size]) for at in range(0, len(rows), size))


@pytest.mark.parametrize("name", ["a", "b"])
def test_golden_influence_and_probabilities(name):
    file = load(name)
    gradients = np.concatenate([file[f"gradients_{task}"] for task in tasks_in(file)])
    task_of_row = np.repeat(list(tasks_in(file)), [len(file[f"norms_{task}"]) for task in tasks_in(file)])
    influence = instance_influence(blocks(gradients), task_of_row, engine=LocalEngine())
    for task in tasks_in(file):
        own = influence[task_of_row == task]
        np.testing.assert_allclose(own, file[f"influence_{task}"], atol=2e-7)
        probabilities = sampling_probabilities(own, q=float(file["q"]))
        np.testing.assert_allclose(probabilities, file[f"sampling_p_{task}"], rtol=1e-5)  # of float32 sums


@pytest.mark.parametrize("name", ["a", "b"])
def test_golden_quotas(name):
    file = load(name)
    tasks = [f"task {task}" for task in tasks_in(file) for _ in file[f"norms_{task}"]]
    norms = np.concatenate([file[f"norms_{task}"] for task in tasks_in(file)])
    difficulties = task_difficulty(tasks, norms, self_influence="norm")
    budget = float(file["p"]) * len(norms)  # not whole in b, where dropping the half changes no quota
    np.testing.assert_allclose([item.share * budget for item in difficulties], file["task_quota"], rtol=1e-12)
    shares, sizes = [item.share for item in difficulties], [item.samples for item in difficulties]
    released = tive_quotas(shares, sizes, budget=int(budget), rounding="released")
    assert released == [int(quota) for quota in file["task_quota"]]


def test_influence_against_all_pairs():
    rng = np.random.default_rng(3)
    gradients, task_of_row = rng.normal(size=(60, 9)).astype(np.float32), rng.integers(0, 3, 60)
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    slow = [np.mean([unit[i] @ unit[j] for j in range(60) if task_of_row[j] == task_of_row[i]]) for i in range(60)]
    np.testing.assert_allclose(
        instance_influence(blocks(gradients, 7), task_of_row, engine=LocalEngine()), slow, atol=1e-6
    )


def test_influence_elsewhere_is_the_same():
    rng = np.random.default_rng(3)
    gradients, task_of_row = rng.normal(size=(60, 9)).astype(np.float32), rng.integers(0, 3, 60)
    here, there = (
        instance_influence(blocks(gradients, 7), task_of_row, engine=engine)
        for engine in (LocalEngine(), ShuffledEngine())
    )
    np.testing.assert_array_equal(there, here)
    gradients[9] = 0
    with pytest.raises(ValueError, match="row 9 has length 0"):
        instance_influence(blocks(gradients, 7), task_of_row, engine=ShuffledEngine())


def test_a_gradient_without_direction_and_a_missing_one_are_errors():
    with pytest.raises(ValueError, match="row 2 has length 0"):
        instance_influence(
            blocks(np.array([[1.0, 0], [0, 1], [0, 0]])), np.zeros(3, dtype=np.int64), engine=LocalEngine()
        )
    late = np.ones((200, 2))
    late[150, 1] = np.inf
    with pytest.raises(ValueError, match="row 150 has length inf"):  # of the pool, not of its block
        instance_influence(blocks(late), np.zeros(200, dtype=np.int64), engine=LocalEngine())
    with pytest.raises(ValueError, match="exactly one gradient"):
        instance_influence(blocks(np.ones((3, 2))), np.zeros(4, dtype=np.int64), engine=LocalEngine())


@pytest.mark.parametrize(("self_influence", "expected"), [("norm", [2.0, 4.0]), ("squared_norm", [5.0, 16.0])])
def test_difficulty_by_hand(self_influence, expected):
    found = task_difficulty(["a", "b", "a"], np.array([1.0, 4.0, 3.0]), self_influence=self_influence)
    assert [item.difficulty for item in found] == expected
    assert [item.share for item in found] == pytest.approx(np.array(expected) / sum(expected))


@pytest.mark.parametrize("norm", [0.0, -1.0, float("nan"), float("inf")])
def test_a_norm_that_is_none_is_named(norm):
    with pytest.raises(ValueError, match="row 1"):
        task_difficulty(["a", "a"], np.array([1.0, norm]), self_influence="norm")


@given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 40)), min_size=1, max_size=8), st.integers(1, 200))
def test_exact_quotas_spend_the_budget_under_the_caps(tasks, budget):
    shares = np.array([share for share, _ in tasks])
    sizes = [size for _, size in tasks]
    quotas = tive_quotas((shares / shares.sum()).tolist(), sizes, budget=budget, rounding="exact")
    assert sum(quotas) == min(budget, sum(sizes))
    assert all(0 <= quota <= size for quota, size in zip(quotas, sizes, strict=True))


def test_what_a_task_cannot_take_goes_to_the_others_by_share():
    # 50 of task 0 becomes 10; of the 90 left 3/4 and 1/4: 67.5 and 22.5, the tie to the earlier task.
    assert tive_quotas([0.5, 0.375, 0.125], [10, 100, 100], budget=100, rounding="exact") == [10, 68, 22]


@given(st.integers(1, 30), st.integers(0, 100), st.integers(0, 5))
def test_a_quota_above_the_task_repeats_all_of_it(size, quota, seed):
    copies = draw_copies(np.full(size, 1 / size), quota, rng=np.random.default_rng(seed))
    assert copies.sum() == quota
    assert set(copies.tolist()) <= {quota // size, quota // size + 1}


def test_draws_come_with_the_probabilities_of_one_after_the_other():
    probabilities = np.array([0.6, 0.3, 0.1])
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(np.flatnonzero(draw_copies(probabilities, 2, rng=rng)).tolist()) for _ in range(20_000))
    p = probabilities
    expected = {
        pair: p[pair[0]] * p[pair[1]] / (1 - p[pair[0]]) + p[pair[1]] * p[pair[0]] / (1 - p[pair[1]])
        for pair in ((0, 1), (0, 2), (1, 2))
    }
    for pair, probability in expected.items():
        assert drawn[pair] / 20_000 == pytest.approx(probability, abs=0.015)


def test_the_released_q_is_all_but_uniform():
    influence = np.linspace(-1, 1, 100)
    small, large = sampling_probabilities(influence, q=0.001), sampling_probabilities(influence, q=50)
    assert small.max() / small.min() < 1.00201
    assert distance_from_uniform(small) < 0.0003
    assert distance_from_uniform(large) > 0.8
    np.testing.assert_allclose(sampling_probabilities(influence + 1e3, q=50), large)  # nothing overflows


@pytest.mark.parametrize(
    ("influence", "q", "message"),
    [
        ([0.1, 0.2], -1.0, "q is -1"),
        ([0.1, 0.2], float("nan"), "q is nan"),
        ([0.1, float("nan")], 1.0, "row 1 is nan"),
        ([], 1.0, "no row"),
        ([-1.0, 0.0, 1.0], 1000.0, "at most 325"),
    ],
)
def test_what_gives_no_probabilities_is_named(influence, q, message):
    with pytest.raises(ValueError, match=message):
        sampling_probabilities(np.array(influence), q=q)


def test_the_largest_q_that_the_error_names_can_be_drawn_with():
    probabilities = sampling_probabilities(np.linspace(-1, 1, 10_000), q=325)
    assert probabilities.min() > 0
    assert draw_copies(probabilities, 10_000, rng=np.random.default_rng(0)).tolist() == [1] * 10_000


def make_tables(seed, order=None, q=20.0, budget=20, rounding="exact"):
    rng = np.random.default_rng(seed)
    count = 60
    rows = [(f"{'ab'[i % 3 == 0]}/{i:03d}", "ab"[i % 3 == 0], f"{i:064x}") for i in range(count)]
    norms, influence = rng.gamma(2, size=count), rng.uniform(-1, 1, count)
    order = np.arange(count) if order is None else order
    samples = pa.table(list(zip(*[rows[at] for at in order], strict=True)), schema=CHOSEN)
    return influence_tables(
        samples, norms[order], influence[order], budget=budget, q=q, self_influence="norm", rounding=rounding
    )


def test_the_selection_says_what_was_drawn_and_why():
    tables = make_tables(1)
    selection = select_by_influence(tables.influence, tables.difficulty, seed=5)
    assert selection["sample_id"].to_pylist() == sorted(selection["sample_id"].to_pylist())
    quotas = {row["task"]: row["quota"] for row in tables.difficulty.to_pylist()}
    for row in selection.to_pylist():
        assert row["picked"] == (row["copies"] == 1) == row["reason"].startswith("drawn")
        assert f"{quotas[row['task']]} of" in row["reason"]
    chance = {row["sample_id"]: row["probability"] for row in tables.influence.to_pylist()}
    assert all(f"{chance[row['sample_id']]:.3g}," in row["reason"] for row in selection.to_pylist())
    assert Counter(row["task"] for row in selection.to_pylist() if row["picked"]) == quotas
    for task in quotas:
        group = [row for row in selection.to_pylist() if row["task"] == task]
        ranked = sorted(group, key=lambda row: row["rank"])
        assert [row["rank"] for row in ranked] == list(range(1, len(group) + 1))
        assert [row["score"] for row in ranked] == sorted((row["score"] for row in group), reverse=True)


@given(st.permutations(range(60)), st.integers(0, 3))
def test_the_order_of_rows_does_not_matter(order, seed):
    first, second = make_tables(seed), make_tables(seed, order=np.array(order))
    assert first.influence.equals(second.influence)
    chosen = [select_by_influence(tables.influence, tables.difficulty, seed=7) for tables in (first, second)]
    assert chosen[0].equals(chosen[1])


def test_another_task_changes_no_draw_within_the_first():
    tables = make_tables(1)
    both = select_by_influence(tables.influence, tables.difficulty, seed=5)
    alone = [table.filter(pc.equal(table["task"], "a")) for table in (tables.influence, tables.difficulty)]
    assert select_by_influence(*alone, seed=5).equals(both.filter(pc.equal(both["task"], "a")).combine_chunks())


def test_equal_influence_ranks_by_sample_id():
    samples = pa.table([["t/c", "t/a", "t/b"], ["t"] * 3, ["c", "a", "b"]], schema=CHOSEN)
    tables = influence_tables(
        samples, np.ones(3), np.full(3, 0.5), budget=1, q=1.0, self_influence="norm", rounding="exact"
    )
    assert tables.difficulty["uniform_distance"].to_pylist() == pytest.approx([0])
    selection = select_by_influence(tables.influence, tables.difficulty, seed=0)
    assert selection.select(["sample_id", "rank"]).to_pydict() == {
        "sample_id": ["t/a", "t/b", "t/c"],
        "rank": [1, 2, 3],
    }


def test_another_seed_draws_others():
    tables = make_tables(1, q=0.001)
    one, other = (select_by_influence(tables.influence, tables.difficulty, seed=seed) for seed in (1, 2))
    assert not one["picked"].equals(other["picked"])


def test_released_repeats_samples_and_says_so():
    tables = make_tables(1, budget=90, rounding="released")  # each task whole, and part of it once more
    selection = select_by_influence(tables.influence, tables.difficulty, seed=5)
    quotas = dict(zip(tables.difficulty["task"].to_pylist(), tables.difficulty["quota"].to_pylist(), strict=True))
    for task, quota in quotas.items():
        assert sum(row["copies"] for row in selection.to_pylist() if row["task"] == task) == quota
    repeated = [row for row in selection.to_pylist() if row["copies"] > 1]
    assert repeated
    assert all("repeated" in row["reason"] for row in repeated)
    once = [row for row in selection.to_pylist() if row["copies"] == 1]
    assert once
    assert all(row["reason"].startswith("drawn: the quota of") for row in once)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1),
    st.floats(0.01, 0.9),
    st.integers(0, 3),
)
def test_the_warm_up_set_takes_the_same_number_from_every_task(sizes, share, seed):
    ids = [f"{task}/{number}" for task, size in sizes.items() for number in range(size)]
    tasks = [name.split("/")[0] for name in ids]
    members = choose_warm_up_set(ids, tasks, share=share, seed=seed)
    chosen = Counter(task for task, member in zip(tasks, members, strict=True) if member)
    assert members.sum() == max(len(sizes), floor(Fraction(repr(share)) * len(ids)))
    most = max(chosen.values())
    assert all(chosen[task] >= min(size, most - 1) for task, size in sizes.items())
    again = choose_warm_up_set(ids[::-1], tasks[::-1], share=share, seed=seed)[::-1]
    np.testing.assert_array_equal(members, again)


def test_a_warm_up_share_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"1\.5"):
        choose_warm_up_set(["a"], ["t"], share=1.5, seed=0)
