import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.strategies.presel.task_importance import importance_temperature, task_importance

SCORES = st.lists(st.floats(0.01, 3), min_size=1, max_size=20)


def test_hand_numbers():
    # Means 0.5 and 1.0, tau = 1/sqrt(2): w = softmax(-0.7071, -1.4142) = (0.66976, 0.33024).
    first, second = task_importance(["ocr", "vqa", "ocr", "vqa"], np.array([0.4, 0.9, 0.6, 1.1]))
    assert (first.task, first.samples, second.task, second.samples) == ("ocr", 2, "vqa", 2)
    assert (first.score, second.score) == pytest.approx((0.5, 1.0))
    assert first.weight == pytest.approx(1 / (1 + math.exp(-0.5 * math.sqrt(2))))
    assert second.weight == pytest.approx(0.33023845)


def test_scores_that_are_not_finite_are_left_out_and_counted():
    (item,) = task_importance(["a"] * 4, np.array([0.5, np.nan, 0.7, np.inf]))
    assert (item.samples, item.weight) == (2, 1.0)
    assert item.score == pytest.approx(0.6)


def test_far_apart_scores_do_not_overflow():
    first, second = task_importance(["a", "b"], np.array([-5000.0, 5000.0]))
    assert (first.weight, second.weight) == (1.0, 0.0)


@given(st.lists(SCORES, min_size=1, max_size=6), st.floats(-2, 2), st.randoms(use_true_random=False))
def test_invariants(groups, shift, shuffle):
    tasks = [f"task {at}" for at, group in enumerate(groups) for _ in group]
    scores = np.array([score for group in groups for score in group])
    importance = task_importance(tasks, scores)
    weights = [item.weight for item in importance]
    assert sum(weights) == pytest.approx(1)
    by_score = sorted(importance, key=lambda item: item.score)
    assert all(a.weight >= b.weight for a, b in pairwise(by_score))
    shifted = task_importance(tasks, scores + shift)
    assert [item.weight for item in shifted] == pytest.approx(weights, abs=1e-9)
    order = list(range(len(tasks)))
    shuffle.shuffle(order)
    shuffled = task_importance([tasks[at] for at in order], scores[order])
    assert [item.weight for item in shuffled] == pytest.approx(weights)


def test_a_task_without_a_finite_score_says_what_to_do():
    with pytest.raises(ValueError, match=r"task\(s\) b, c has a finite score; enlarge"):
        task_importance(["a", "b", "c"], np.array([0.5, np.nan, np.inf]))


def test_no_sample_and_unequal_lengths():
    with pytest.raises(ValueError, match="no reference sample was scored"):
        task_importance([], np.array([]))
    with pytest.raises(ValueError, match=r"shape \(2,\) but there are 1 tasks"):
        task_importance(["a"], np.array([0.5, 0.6]))
    with pytest.raises(ValueError, match="task count is 0"):
        importance_temperature(0)
