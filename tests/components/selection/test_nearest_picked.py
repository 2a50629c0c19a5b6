import numpy as np
import pytest

from components.selection import nearest_picked as module
from components.selection.nearest_picked import nearest_picked


def test_against_a_slow_reference(monkeypatch):
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((40, 5)).astype(np.float32)
    picked = rng.random(40) < 0.3
    rows = np.array([0, 7, 7, 39, *np.flatnonzero(picked)[:3]])
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", 25)
    result = nearest_picked(vectors, picked, rows=rows)
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for asked, row, cosine in zip(rows, result.rows, result.cosines, strict=True):
        expected = max((float(unit[asked] @ unit[at]), at) for at in np.flatnonzero(picked) if at != asked)
        assert (cosine, row) == (pytest.approx(expected[0]), expected[1])


def test_a_duplicate_of_a_picked_image_is_found_and_the_image_itself_is_not():
    vectors = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    result = nearest_picked(vectors, np.array([True, False, True]), rows=np.arange(3))
    assert result.rows.tolist() == [2, 0, 0]
    assert result.cosines.tolist() == [0.0, 1.0, 0.0]


def test_nothing_else_is_picked():
    vectors = np.eye(3)
    alone = nearest_picked(vectors, np.array([False, True, False]), rows=np.array([1]))
    nothing = nearest_picked(vectors, np.zeros(3, dtype=bool), rows=np.array([1]))
    for result in (alone, nothing):
        assert result.rows.tolist() == [-1]
        assert np.isnan(result.cosines).all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"picked has shape \(2,\) for 3 vectors"):
        nearest_picked(np.eye(3), np.ones(2, dtype=bool), rows=np.array([0]))
    with pytest.raises(ValueError, match="row 3 is outside the 3 vectors"):
        nearest_picked(np.eye(3), np.ones(3, dtype=bool), rows=np.array([0, 3]))
