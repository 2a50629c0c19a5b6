import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.selection import neighbour_centrality as module
from components.selection.neighbour_centrality import neighbour_centrality, order_by_centrality


def slow_centrality(vectors, neighbours):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = []
    for row, vector in enumerate(unit):
        cosines = sorted((float(vector @ other) for at, other in enumerate(unit) if at != row), reverse=True)
        nearest = cosines[:neighbours]
        scores.append(sum(nearest) / len(nearest) if nearest else 0.0)
    return np.array(scores)


def test_hand_numbers():
    # Angles 0, 30, 60 and 150 degrees, k = 2.
    angles = np.deg2rad([0, 30, 60, 150])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([[1], [2], [3], [4]])
    half_root = np.sqrt(3) / 2
    expected = [
        (half_root + 0.5) / 2,
        half_root,
        (half_root + 0.5) / 2,
        (0 - 0.5) / 2,
    ]
    assert neighbour_centrality(vectors, neighbours=2) == pytest.approx(expected)


@given(st.integers(1, 25), st.integers(1, 6), st.integers(1, 7), st.integers(0, 1000), st.integers(1, 60))
def test_against_a_slow_reference_in_blocks_of_any_size(count, width, neighbours, seed, elements):
    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_ELEMENTS", elements)
        scores = neighbour_centrality(vectors, neighbours=neighbours)
    assert scores == pytest.approx(slow_centrality(vectors.astype(np.float64), neighbours), abs=1e-9)
    assert (np.abs(scores) <= 1).all()


def test_a_cluster_of_one_scores_zero():
    assert neighbour_centrality(np.ones((1, 3))).tolist() == [0.0]
    assert neighbour_centrality(np.ones((0, 3))).tolist() == []


def test_an_exact_duplicate_is_a_neighbour_and_the_image_itself_is_not():
    # Dropping the first hit instead of the row itself would lose the duplicate or keep the image.
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert neighbour_centrality(vectors, neighbours=1).tolist() == [1.0, 1.0, 0.0]
    assert neighbour_centrality(vectors, neighbours=2).tolist() == [0.5, 0.5, 0.0]


def test_duplicates_tie_exactly_and_the_sample_id_decides():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((300, 48)).astype(np.float32)
    vectors = np.concatenate([base, base[::-1]])
    ids = [f"{number:04d}" for number in rng.permutation(600)]
    scores = neighbour_centrality(vectors)
    assert (scores[:300] == scores[:299:-1]).all()
    order = order_by_centrality(scores, ids)
    place = {int(row): at for at, row in enumerate(order)}
    for row in range(300):
        twin = 599 - row
        assert (ids[row] < ids[twin]) == (place[row] < place[twin])


@given(st.integers(2, 30), st.integers(0, 1000))
def test_the_order_of_picks_does_not_depend_on_the_order_of_rows(count, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (count, 3)).astype(np.float32) + np.float32(0.25)
    ids = [f"{row:03d}" for row in range(count)]
    shuffled = rng.permutation(count)
    order = order_by_centrality(neighbour_centrality(vectors), ids)
    again = order_by_centrality(neighbour_centrality(vectors[shuffled]), [ids[row] for row in shuffled])
    assert [ids[row] for row in order] == [ids[shuffled[row]] for row in again]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="neighbours is 0"):
        neighbour_centrality(np.ones((2, 2)), neighbours=0)
    with pytest.raises(ValueError, match=r"1 of 2 vectors cannot be normalised, first row 1 with length 0\.0"):
        neighbour_centrality(np.array([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="first row 0 with length nan"):
        neighbour_centrality(np.array([[np.nan, 0.0]]))
    with pytest.raises(ValueError, match=r"shape \(n, d\), got \(3,\)"):
        neighbour_centrality(np.ones(3))
    with pytest.raises(ValueError, match="2 scores but 1 sample ids"):
        order_by_centrality(np.zeros(2), ["a"])
