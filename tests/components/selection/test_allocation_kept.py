from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.selection.allocation import Allocation, allocate


@dataclass
class Case:
    tasks: list[str]
    available: list[int]
    kept: list[int]
    weights: dict[str, float]
    budget: int

    def allocate(self, kept=True, profile="exact") -> Allocation:
        return allocate(
            self.tasks,
            np.array(self.available, dtype=np.int64) + 1,
            np.array(self.available, dtype=np.int64),
            self.weights,
            budget=self.budget,
            profile=profile,
            kept=np.array(self.kept, dtype=np.int64) if kept else None,
        )


@st.composite
def cases(draw):
    names = [f"task {at}" for at in range(draw(st.integers(1, 4)))]
    raw = draw(st.lists(st.integers(0, 20), min_size=len(names), max_size=len(names)))
    raw[0] += 1
    cells = draw(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 40), st.integers(0, 40)), max_size=12))
    return Case(
        tasks=[task for task, _, _ in cells],
        available=[free for _, free, _ in cells],
        kept=[min(kept, free) for _, free, kept in cells],
        weights={name: weight / sum(raw) for name, weight in zip(names, raw, strict=True)},
        budget=draw(st.integers(0, 200)),
    )


def test_by_hand():
    # 20 images, weights 1/2 each. a is due 10 over (30, 10): 7.5, 2.5, but keeps 6 of the second: 4 are left for the
    # first. b is due 10 and keeps 12, so a gets 8: 2 and 6.
    case = Case(["a", "a", "b"], [30, 10, 40], [0, 6, 0], {"a": 0.5, "b": 0.5}, 20)
    assert case.allocate().quotas.tolist() == [4, 6, 10]
    case.kept = [0, 6, 12]
    assert case.allocate().quotas.tolist() == [2, 6, 12]


def test_more_kept_than_the_budget_stays_and_nothing_is_added():
    case = Case(["a", "b"], [30, 40], [9, 3], {"a": 0.5, "b": 0.5}, 10)
    result = case.allocate()
    assert result.quotas.tolist() == [9, 3]
    assert (result.unspent, result.unspent_reason) == (0, "")


def test_only_profile_exact_can_keep():
    case = Case(["a"], [30], [2], {"a": 1.0}, 10)
    with pytest.raises(ValueError, match="cannot keep the 2 images"):
        case.allocate(profile="paper")
    assert case.allocate(kept=False, profile="paper").quotas.tolist() == [10]


def test_a_cluster_cannot_keep_more_than_it_has():
    case = Case(["a"], [3], [4], {"a": 1.0}, 10)
    with pytest.raises(ValueError, match="keeps 4 of 3"):
        case.allocate()


@given(cases())
def test_the_budget_is_met_between_floors_and_capacities(case):
    result = case.allocate()
    assert result.quotas.sum() == max(min(case.budget, sum(case.available)), sum(case.kept))
    assert (result.quotas >= case.kept).all()
    assert (result.quotas <= case.available).all()


@given(cases())
def test_keeping_nothing_changes_nothing(case):
    unbound = case.allocate(kept=False)
    case.kept = [0] * len(case.kept)
    assert (case.allocate().quotas == unbound.quotas).all()


@given(cases())
def test_keeping_what_one_would_be_given_changes_nothing(case):
    case.kept = case.allocate(kept=False).quotas.tolist()
    assert case.allocate().quotas.tolist() == case.kept


@given(cases())
def test_a_cluster_gets_more_than_its_share_only_by_keeping_it(case):
    # What is kept beyond a share can only take images from the others, never give them any, but for rounding.
    result, unbound = case.allocate(), case.allocate(kept=False)
    for quota, due, kept in zip(result.quotas, unbound.quotas, case.kept, strict=True):
        assert quota <= max(due + 2, kept)


@given(cases(), st.integers(1, 50))
def test_more_budget_never_means_fewer_images_of_a_task(case, more):
    before = {task.task: task.share for task in case.allocate().tasks}
    case.budget += more
    assert all(task.share >= before[task.task] for task in case.allocate().tasks)


@given(cases(), st.floats(1.0, 5.0))
def test_more_weight_never_means_fewer_images(case, factor):
    task = next(iter(case.weights))
    before = {item.task: item.quota for item in case.allocate().tasks}[task]
    raised = {name: weight * (factor if name == task else 1) for name, weight in case.weights.items()}
    case.weights = {name: weight / sum(raised.values()) for name, weight in raised.items()}
    assert {item.task: item.quota for item in case.allocate().tasks}[task] >= before
