import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.selection.reference_set import choose_reference_set, reference_order

POOLS = st.lists(st.sampled_from(["vqa", "ocr", "caption"]), min_size=1, max_size=60)


def ids_of(tasks):
    return [f"{task}/{row:03d}" for row, task in enumerate(tasks)]


@given(POOLS, st.integers(1, 99), st.integers(0, 5), st.randoms(use_true_random=False))
def test_each_task_gives_its_ceiling_whatever_the_order(tasks, percent, seed, shuffle):
    ids = ids_of(tasks)
    chosen = choose_reference_set(ids, tasks, share=percent / 100, seed=seed)
    for task in set(tasks):
        size = tasks.count(task)
        of_task = np.array([name == task for name in tasks])
        assert chosen[of_task].sum() == -(-percent * size // 100)
    order = list(range(len(ids)))
    shuffle.shuffle(order)
    again = choose_reference_set([ids[at] for at in order], [tasks[at] for at in order], share=percent / 100, seed=seed)
    assert (again == chosen[order]).all()


def test_share_is_the_decimal_it_prints_as():
    # In binary floating point 0.07 * 100 is above 7 and would give 8.
    assert 0.07 * 100 > 7
    assert choose_reference_set(ids_of(["a"] * 100), ["a"] * 100, share=0.07, seed=0).sum() == 7


def test_a_grown_pool_keeps_the_order_and_a_new_task_changes_no_other():
    old = ids_of(["a"] * 50)
    new = old + [f"a/new{row}" for row in range(50)]
    order = reference_order(new, seed=3)
    assert [sample for sample in order if sample in set(old)] == reference_order(old, seed=3)
    chosen = choose_reference_set(old, ["a"] * 50, share=0.1, seed=3)
    with_task = choose_reference_set([*old, "b/1"], ["a"] * 50 + ["b"], share=0.1, seed=3)
    assert (with_task[:50] == chosen).all()
    assert with_task[50]


def test_the_seed_matters_and_the_choice_never_changes():
    ids = ids_of(["a"] * 200)
    first = choose_reference_set(ids, ["a"] * 200, share=0.05, seed=1)
    second = choose_reference_set(ids, ["a"] * 200, share=0.05, seed=2)
    assert first.sum() == second.sum() == 10
    assert (first != second).any()
    # Members are annotated and paid for: another hash would buy again.
    assert np.flatnonzero(first).tolist() == GOLDEN_MEMBERS


# `printf "1\na/NNN" | b2sum -l 128` for NNN from 000 to 199, the ten smallest.
GOLDEN_MEMBERS = [2, 44, 47, 95, 105, 124, 137, 175, 176, 195]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_share_out_of_range_is_named(share):
    with pytest.raises(ValueError, match=f"share of the reference set is {share}"):
        choose_reference_set(["a/1"], ["a"], share=share, seed=0)


def test_a_repeated_id_is_named():
    with pytest.raises(ValueError, match="'a/1' occurs more than once"):
        choose_reference_set(["a/0", "a/1", "a/1"], ["a"] * 3, share=0.5, seed=0)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 sample ids but 1 tasks"):
        choose_reference_set(["a/0", "a/1"], ["a"], share=0.5, seed=0)


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.02, 0.9), st.integers(0, 5))
def test_members_stay_and_others_join_in_the_order_of_the_hash(before, more, share, seed):
    ids = [f"t/{at}" for at in range(before + more)]
    first = choose_reference_set(ids[:before], ["t"] * before, share=share, seed=seed)
    members = frozenset(sample_id for sample_id, chosen in zip(ids, first, strict=False) if chosen)
    grown = choose_reference_set(ids, ["t"] * len(ids), share=share, seed=seed, members=members)
    chosen = {sample_id for sample_id, is_chosen in zip(ids, grown, strict=True) if is_chosen}
    plain = choose_reference_set(ids, ["t"] * len(ids), share=share, seed=seed)
    assert members <= chosen
    assert len(chosen) == plain.sum(), "as many as the share asks for"
    joined = [sample_id for sample_id in reference_order(ids, seed=seed) if sample_id not in members]
    assert chosen - members == set(joined[: len(chosen) - len(members)])


def test_members_beyond_the_share_stay_and_those_that_left_are_ignored():
    ids = [f"t/{at}" for at in range(10)]
    members = frozenset([*ids[:4], "t/gone"])
    chosen = choose_reference_set(ids, ["t"] * 10, share=0.1, seed=1, members=members)
    assert {sample_id for sample_id, is_chosen in zip(ids, chosen, strict=True) if is_chosen} == set(ids[:4])
