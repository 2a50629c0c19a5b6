from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.report.need_chart import LABEL_HEIGHT, Need, need_chart

CHEAP, DEAR = 450.0, 3000.0


def needs_of(*averages: float, instructions: float = CHEAP) -> list[Need]:
    return [Need(f"s{index}", instructions, (value,), value) for index, value in enumerate(averages)]


def test_higher_is_further_up_and_cheaper_is_further_left():
    low, high, dear = need_chart(
        [Need("low", CHEAP, (0.5, 0.52), 0.51), Need("high", CHEAP, (0.6,), 0.6), Need("dear", DEAR, (0.55,), 0.55)],
        pool=3000,
    ).points
    assert high.y < dear.y < low.y
    assert low.x == high.x == pytest.approx(15)
    assert dear.x == 100
    assert (low.on_left, dear.on_left) == (False, True)
    assert low.seeds[0] > low.y > low.seeds[1]
    assert (low.average, low.instructions) == (0.51, CHEAP)


def test_a_label_that_stands_alone_stays_at_its_dot():
    first, last = need_chart(needs_of(0.2, 0.8), pool=3000).points
    assert (first.label, last.label) == (first.y, last.y)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_labels_keep_apart_and_in_order(averages):
    points = need_chart(needs_of(*averages), pool=3000).points
    ordered = sorted(points, key=lambda point: point.label)
    gaps = [after.label - before.label for before, after in pairwise(ordered)]
    assert all(gap >= LABEL_HEIGHT - 0.02 for gap in gaps)
    assert all(before.y <= after.y for before, after in pairwise(ordered))
    assert all(0 <= point.label <= 100 for point in points)


def test_labels_of_different_sides_do_not_push_each_other():
    points = need_chart([*needs_of(0.5), *needs_of(0.5, instructions=DEAR), *needs_of(0.9)], pool=3000).points
    assert points[0].y == points[1].y
    assert points[1].label == points[1].y
