import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.report.geometry import evenly_spaced, linear_axis, spread_of, stacked


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 8))
def test_axis_covers_its_values_with_few_round_ticks(low, span, ticks):
    axis = linear_axis(low, low + span, ticks=ticks)
    near = 1e-6 * max(1, abs(low), span)
    assert axis.low <= low + near
    assert axis.high >= low + span - near
    assert axis.ticks[0].position == 0
    assert axis.ticks[-1].position == 100
    assert 2 <= len(axis.ticks) <= ticks + 3
    assert 0 <= axis.place(low + span / 2) <= 100


def test_axis_labels_are_the_values_of_the_ticks():
    labels = [tick.label for tick in linear_axis(0.0, 1.1).ticks]
    assert labels == ["0.00", "0.25", "0.50", "0.75", "1.00", "1.25"]


@given(st.integers(0, 300), st.integers(1, 40))
def test_evenly_spaced_indices_are_distinct_and_reach_both_ends(count, wanted):
    chosen = list(evenly_spaced(count, wanted))
    assert len(chosen) == len(set(chosen)) == min(count, wanted)
    assert chosen == sorted(chosen)
    if count > 1 and wanted > 1:
        assert (chosen[0], chosen[-1]) == (0, count - 1)


@given(st.lists(st.integers(0, 10**6), max_size=9))
def test_parts_follow_one_another_and_fill_the_bar(numbers):
    parts = stacked((str(index), number) for index, number in enumerate(numbers))
    assert len(parts) == (len(numbers) if sum(numbers) else 0)
    if parts:
        assert sum(part.share for part in parts) == pytest.approx(1)
        ends = np.cumsum([part.share for part in parts])
        assert [part.start for part in parts] == pytest.approx([0, *(100 * ends[:-1])], abs=0.01)


def test_a_spread_leaves_out_what_is_not_finite():
    spread = spread_of(np.array([0.0, np.nan, 1.0, 2.0, np.inf]), 1.0)
    assert (spread.tenth, spread.quarter, spread.mean, spread.ninetieth) == (0.2, 0.5, 1.0, 1.8)
    assert spread_of(np.array([np.nan]), 3.0).tenth == 3.0
