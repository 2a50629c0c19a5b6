from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.selection.allocation import Allocation, allocate
from components.selection.allocation_rounding import round_to_largest_remainders, spread_by_weight

PROFILES = ("exact", "paper", "released")


@dataclass
class Case:
    tasks: list[str]
    sizes: list[int]
    available: list[int]
    weights: dict[str, float]
    budget: int

    def allocate(self, profile, order=None) -> Allocation:
        at = range(len(self.tasks)) if order is None else order
        return allocate(
            [self.tasks[row] for row in at],
            np.array([self.sizes[row] for row in at], dtype=np.int64),
            np.array([self.available[row] for row in at], dtype=np.int64),
            self.weights,
            budget=self.budget,
            profile=profile,
        )

    def of_task(self, task):
        return [row for row, name in enumerate(self.tasks) if name == task]


@st.composite
def cases(draw):
    names = [f"task {at}" for at in range(draw(st.integers(1, 5)))]
    raw = draw(st.lists(st.integers(0, 20), min_size=len(names), max_size=len(names)))
    raw[0] += 1
    cells = draw(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 40), st.integers(0, 5)), max_size=12))
    return Case(
        tasks=[task for task, _, _ in cells],
        sizes=[free + reference for _, free, reference in cells],
        available=[free for _, free, _ in cells],
        weights={name: weight / sum(raw) for name, weight in zip(names, raw, strict=True)},
        budget=draw(st.integers(0, 200)),
    )


def test_equation_6_by_hand():
    # |D_S| = 10. a: w 0.6, T = 30 -> 6 over (20, 10): 4, 2. b: w 0.4, T = 70 -> 4 over (45, 25): 2.571, 1.429.
    case = Case(["a", "a", "b", "b"], [21, 11, 47, 26], [20, 10, 45, 25], {"a": 0.6, "b": 0.4}, 10)
    paper = case.allocate("paper")
    assert paper.shares == pytest.approx([4, 2, 18 / 7, 10 / 7])
    assert paper.quotas.tolist() == [4, 2, 2, 1]
    assert paper.unspent == 1
    assert paper.unspent_reason == "profile paper rounds without handing out the rest"
    exact = case.allocate("exact")
    assert exact.quotas.tolist() == [4, 2, 3, 1]
    assert [(task.task, task.available, task.quota) for task in exact.tasks] == [("a", 30, 6), ("b", 70, 4)]
    assert [task.share for task in exact.tasks] == pytest.approx([6, 4])


def test_a_share_that_floating_point_puts_below_a_whole_number_is_whole():
    thirds = dict.fromkeys("abc", 1 / 3)
    case = Case(["a", "b", "c"], [200] * 3, [200] * 3, thirds, 300)
    assert case.allocate("paper").quotas.tolist() == [100, 100, 100]
    # 0.7 * 10 is 7 but the sum 0.1 + ... of the softmax may say 6.999999999999999.
    case = Case(["a", "b"], [20, 20], [20, 20], {"a": 0.7 - 1e-16, "b": 0.3}, 10)
    assert case.allocate("paper").quotas.tolist() == [7, 3]


def test_exact_gives_what_a_small_task_cannot_take_to_the_others_by_weight():
    # a has 4 of its 20; the 16 left go to b and c as 3 : 1.
    case = Case(["a", "b", "c"], [5, 100, 100], [4, 100, 100], {"a": 0.5, "b": 0.375, "c": 0.125}, 40)
    assert case.allocate("exact").quotas.tolist() == [4, 27, 9]
    paper = case.allocate("paper")
    assert paper.quotas.tolist() == [4, 15, 5]
    assert paper.unspent == 16
    assert "smaller than their share: a (4 of 20.0)" in paper.unspent_reason


def test_a_budget_above_the_pool_takes_all_and_says_so():
    case = Case(["a", "b"], [5, 6], [4, 6], {"a": 0.5, "b": 0.5}, 25)
    for profile in ("exact", "paper"):
        result = case.allocate(profile)
        assert result.quotas.tolist() == [4, 6]
        assert result.unspent == 15
        assert "only 10 images outside the reference set for a budget of 25" in result.unspent_reason


def test_a_task_without_images_passes_its_share_on():
    case = Case(["a"], [50], [50], {"a": 0.5, "gone": 0.5}, 10)
    result = case.allocate("exact")
    assert result.quotas.tolist() == [10]
    assert [(task.task, task.available, task.quota) for task in result.tasks] == [("a", 50, 10), ("gone", 0, 0)]


def test_equal_remainders_go_to_the_first_name_and_the_larger_cluster():
    case = Case(["b", "a"], [10, 10], [10, 10], {"b": 0.5, "a": 0.5}, 3)
    assert case.allocate("exact").quotas.tolist() == [1, 2]
    case = Case(["a", "a"], [10, 30], [10, 30], {"a": 1.0}, 2)
    assert case.allocate("exact").quotas.tolist() == [0, 2]


def test_released_by_hand():
    # int(0.5 * 7) = 3 each; the remainder of 1 goes to the first of the largest weights.
    case = Case(["a", "b"], [10, 10], [10, 10], {"a": 0.5, "b": 0.5}, 7)
    assert case.allocate("released").quotas.tolist() == [4, 3]
    # Round half to even: 2.5 and 2.5 become 2 and 2; the missing one goes to the larger cluster in total.
    case = Case(["a", "a"], [10, 11], [10, 10], {"a": 1.0}, 5)
    assert case.allocate("released").quotas.tolist() == [2, 3]
    # 1.5, 1.5, 3 become 2, 2, 3; the surplus is taken from the smallest in total.
    case = Case(["a", "a", "a"], [12, 11, 20], [10, 10, 20], {"a": 1.0}, 6)
    assert case.allocate("released").quotas.tolist() == [2, 1, 3]
    # A task smaller than its quota falls short, and the others do not make up for it.
    case = Case(["a", "b"], [5, 50], [4, 50], {"a": 0.5, "b": 0.5}, 20)
    result = case.allocate("released")
    assert result.quotas.tolist() == [4, 10]
    assert result.unspent == 6


def test_released_hands_what_rounding_lost_to_the_largest_clusters():
    # 0.4 rounds to 0 five times: two images are missing, the two largest clusters get one each.
    case = Case(["a"] * 5, [9, 8, 7, 6, 5], [5] * 5, {"a": 1.0}, 2)
    assert case.allocate("released").quotas.tolist() == [1, 1, 0, 0, 0]


@given(cases(), st.sampled_from(PROFILES))
def test_caps_and_accounts(case, profile):
    result = case.allocate(profile)
    assert (result.quotas >= 0).all()
    assert (result.quotas <= np.array(case.available)).all()
    assert result.unspent == case.budget - result.quotas.sum() >= 0
    assert bool(result.unspent) == bool(result.unspent_reason)
    for task in result.tasks:
        assert task.quota == sum(result.quotas[row] for row in case.of_task(task.task))
        assert task.available == sum(case.available[row] for row in case.of_task(task.task))
    assert (case.allocate(profile).quotas == result.quotas).all()


@given(cases())
def test_exact_sums_to_the_budget_and_is_never_below_the_paper(case):
    exact, paper = case.allocate("exact"), case.allocate("paper")
    assert exact.quotas.sum() == min(case.budget, sum(case.available))
    assert (exact.quotas >= paper.quotas).all()
    if all(task.share <= task.available for task in exact.tasks):
        for task in exact.tasks:
            assert abs(task.quota - task.share) < 1
        assert (np.abs(exact.quotas - exact.shares) <= 1).all()


@given(cases(), st.sampled_from(("exact", "paper")), st.randoms(use_true_random=False))
def test_the_order_of_the_clusters_does_not_matter(case, profile, shuffle):
    order = list(range(len(case.tasks)))
    shuffle.shuffle(order)

    def cells(result, at):
        return Counter(
            (case.tasks[row], case.available[row], int(quota)) for row, quota in zip(at, result.quotas, strict=True)
        )

    original = case.allocate(profile)
    assert cells(case.allocate(profile, order), order) == cells(original, range(len(order)))
    turned = Case(case.tasks, case.sizes, case.available, dict(reversed(case.weights.items())), case.budget)
    assert (turned.allocate(profile).quotas == original.quotas).all()


@given(cases(), st.floats(1.0, 5.0))
def test_more_weight_never_means_fewer_images(case, factor):
    task = next(iter(case.weights))
    before = {item.task: item.quota for item in case.allocate("exact").tasks}[task]
    raised = {name: weight * (factor if name == task else 1) for name, weight in case.weights.items()}
    case.weights = {name: weight / sum(raised.values()) for name, weight in raised.items()}
    assert {item.task: item.quota for item in case.allocate("exact").tasks}[task] >= before


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=1, max_size=6), st.integers(0, 120))
def test_spreading_is_proportional_among_those_that_are_not_full(pairs, total):
    weights = [Fraction(weight) for weight, _ in pairs]
    capacities = [capacity for _, capacity in pairs]
    amounts = spread_by_weight(weights, capacities, total)
    assert sum(amounts) == min(total, sum(capacities))
    scales = {
        amount / weight
        for amount, weight, capacity in zip(amounts, weights, capacities, strict=True)
        if weight and amount < capacity
    }
    assert len(scales) <= 1
    for amount, weight, capacity in zip(amounts, weights, capacities, strict=True):
        assert 0 <= amount <= capacity
        if weight and scales:
            assert amount <= weight * max(scales)


@given(st.lists(st.fractions(0, 20, max_denominator=12), min_size=1, max_size=8), st.booleans())
def test_largest_remainders_against_a_slow_reference(shares, up):
    total = floor(sum(shares)) + (1 if up and sum(shares) != floor(sum(shares)) else 0)
    expected = [floor(share) for share in shares]
    while sum(expected) < total:
        gaps = [share - given for share, given in zip(shares, expected, strict=True)]
        expected[gaps.index(max(gaps))] += 1
    assert round_to_largest_remainders(shares, total, ties=[0] * len(shares)) == expected


def ask(
    task_of_cluster=("a", "b"),
    cluster_sizes=(5, 5),
    available=(4, 4),
    weights=(("a", 0.5), ("b", 0.5)),
    budget=3,
    profile="exact",
):
    sizes, free = np.array(cluster_sizes), np.array(available)
    return allocate(task_of_cluster, sizes, free, dict(weights), budget=budget, profile=profile)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"task_of_cluster": ["a"]}, "1 tasks, sizes"),
        ({"available": [4, 6]}, "row 1 has 6 available of 5"),
        ({"available": [-1, 4]}, "row 0 has -1 available of 5"),
        ({"budget": -1}, "budget is -1"),
        ({"weights": {"a": 0.5, "b": -0.5}}, r"got \{'b': -0.5\}"),
        ({"weights": {"a": 0.5, "b": float("nan")}}, r"got \{'b': nan\}"),
        ({"weights": {"a": 0.5, "b": 0.2}}, "weights sum to 0.7, not 1"),
        ({"weights": {"a": 1.0}}, "task 'b' has clusters but no weight"),
        ({"profile": "nearest"}, "'nearest' is unknown; choose one of exact, paper, released"),
    ],
)
def test_bad_input_is_named(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        ask(**changes)
