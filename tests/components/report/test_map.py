from dataclasses import replace

import numpy as np
import pytest

from components.report.inputs import MapCoordinates
from components.report.map import pool_map, shown_on_map
from components.report.task_rows import task_rows
from tests.components.report.synthetic import make_inputs


def test_map_keeps_distances_in_proportion_and_inside_the_frame():
    inputs = make_inputs({"only": (40, 0.5)}, sets=())
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0]])
    ids = tuple(inputs.samples["sample_id"].to_pylist()[:4])
    view = pool_map(replace(inputs, map_coordinates=MapCoordinates(ids, corners)), task_rows(inputs))
    assert view is not None
    x, y = np.array(view.x), np.array(view.y)
    assert (x[1] - x[0]) / (y[1] - y[2]) == pytest.approx(4 / 3, rel=0.01)
    assert x.min() >= 0
    assert x.max() <= view.width
    assert y.min() >= 0
    assert y.max() <= view.height
    assert y[2] < y[1], "up on the plane is up on the page"


def test_one_point_still_makes_a_map():
    inputs = make_inputs({"only": (40, 0.5)}, sets=())
    ids = tuple(inputs.samples["sample_id"].to_pylist()[:1])
    view = pool_map(replace(inputs, map_coordinates=MapCoordinates(ids, np.zeros((1, 2)))), task_rows(inputs))
    assert view is not None
    assert (view.x, view.y) == ((500,), (view.height // 2,))


def test_coordinates_must_match_the_samples():
    with pytest.raises(ValueError, match=r"shape \(3, 2\); 2 sample ids need \(2, 2\)"):
        MapCoordinates(("a", "b"), np.zeros((3, 2)))


def test_the_map_shows_the_same_samples_whatever_their_order():
    ids = make_inputs().samples["sample_id"].to_pylist()
    shown, backwards = ({order[at] for at in shown_on_map(order, 200)} for order in (ids, ids[::-1]))
    assert len(shown) == 200
    assert shown == backwards
    assert shown_on_map(ids, len(ids)) == list(range(len(ids)))


def test_picked_samples_are_shown_in_proportion():
    selection = make_inputs().selection
    picked = np.array(selection["picked"].to_pylist())
    shown = shown_on_map(selection["sample_id"].to_pylist(), 1000)
    assert picked[shown].mean() == pytest.approx(picked.mean(), abs=0.04)


def test_samples_that_are_no_longer_in_the_pool_are_left_out():
    inputs = make_inputs({"only": (40, 0.5)}, sets=())
    ids = (*inputs.samples["sample_id"].to_pylist()[:2], "only/gone")
    coordinates = MapCoordinates(ids, np.arange(6.0).reshape(3, 2))
    found = pool_map(replace(inputs, map_coordinates=coordinates), task_rows(inputs))
    assert found is not None
    assert found.ids == ids[:2]
