import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.selection import cluster_parts
from components.selection.centroids import nearest_centroids
from components.selection.cluster_exchange import k_means_by_exchange
from components.selection.cluster_parts import centroids_by_parts, in_proportion
from tests.components.selection.test_clustering import unit_vectors


@pytest.fixture
def parts_of_hundreds(monkeypatch):
    monkeypatch.setattr(cluster_parts, "LARGE", 800)
    monkeypatch.setattr(cluster_parts, "PART", 400)


def inertia_of(points, centroids):
    return float(nearest_centroids(points, centroids, 1)[0].sum(dtype=np.float64))


@pytest.mark.usefixtures("parts_of_hundreds")
@pytest.mark.parametrize(("groups", "spread"), [(0, 1.0), (30, 0.3), (30, 1.0), (60, 0.5)])
def test_parts_lose_little(groups, spread):
    points = unit_vectors(3000, 48, 3, groups=groups, spread=spread)
    centroids = centroids_by_parts(points, 30, np.random.default_rng(1))
    assert centroids.shape == (30, 48)
    assert np.bincount(nearest_centroids(points, centroids, 1)[1][:, 0], minlength=30).all()
    assert inertia_of(points, centroids) <= 1.05 * inertia_of(
        points, k_means_by_exchange(points, 30, np.random.default_rng(1))
    )
    assert (centroids_by_parts(points, 30, np.random.default_rng(1)) == centroids).all()


def test_a_task_that_is_not_large_is_clustered_at_once():
    points = unit_vectors(600, 16, 3, groups=6)
    found = centroids_by_parts(points, 6, np.random.default_rng(1))
    assert (found == k_means_by_exchange(points, 6, np.random.default_rng(1))).all()


@pytest.mark.usefixtures("parts_of_hundreds")
def test_one_vector_many_times_cannot_be_cut():
    points = np.tile(unit_vectors(1, 8, 0), (2000, 1))
    assert inertia_of(points, centroids_by_parts(points, 3, np.random.default_rng(0))) == pytest.approx(0, abs=1e-3)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30), st.floats(0, 1))
def test_in_proportion(sizes, share):
    total = int(share * sum(sizes))
    counts = in_proportion(total, np.array(sizes))
    assert counts.sum() == total
    assert (counts >= 0).all()
    assert (counts <= sizes).all()
    assert (np.abs(counts - total * np.array(sizes) / sum(sizes)) < 1 + 1e-6).all()
