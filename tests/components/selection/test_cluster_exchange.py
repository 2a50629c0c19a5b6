import faiss
import numpy as np
import pytest

from components.selection import clustering
from components.selection.centroids import nearest_centroids
from components.selection.cluster_exchange import k_means_by_exchange, update_centroids
from components.selection.clustering import k_means
from tests.components.selection.test_clustering import unit_vectors


def inertia_of(points, centroids):
    return float(nearest_centroids(points, centroids, 1)[0].sum(dtype=np.float64))


@pytest.mark.parametrize(
    ("width", "groups", "spread"),
    [(32, 0, 1.0), (64, 40, 0.3), (64, 40, 1.0), (64, 80, 0.5), (64, 20, 0.5)],
)
def test_one_start_with_exchanges_is_about_as_tight_as_several_with_swaps(width, groups, spread):
    points = unit_vectors(3000, width, 7, groups=groups, spread=spread)
    centroids = k_means_by_exchange(points, 40, np.random.default_rng(0))
    assert len(centroids) == 40
    assert np.bincount(nearest_centroids(points, centroids, 1)[1][:, 0], minlength=40).all()
    assert inertia_of(points, centroids) <= 1.04 * k_means(points, 40, seed=0, restarts=4).inertia


def stuck():
    """Two centroids share one group and one stands between two others: Lloyd's iterations cannot leave that."""
    groups = np.eye(3, dtype=np.float32)
    noise = 0.02 * np.random.default_rng(0).standard_normal((120, 3))
    points = (np.repeat(groups, 40, axis=0) + noise).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, np.stack([points[0], points[1], (groups[1] + groups[2]) / 2])


@pytest.mark.parametrize(("exchanging", "at_most"), [(True, 0.01), (False, 1.0)])
def test_an_exchange_frees_a_centroid_that_is_stuck(exchanging, at_most):
    points, centroids = stuck()
    before = inertia_of(points, centroids)
    found = nearest_centroids(points, centroids, 2)
    updated = update_centroids(points, centroids, *found, np.random.default_rng(0), exchanging=exchanging)
    assert inertia_of(points, updated) <= at_most * before
    if not exchanging:
        means = [points[found[1][:, 0] == cluster].mean(axis=0) for cluster in range(3)]
        assert updated == pytest.approx(np.stack(means), abs=1e-6)


def test_a_centroid_without_vectors_is_placed_anew():
    points, centroids = stuck()
    centroids[1] = [-1, 0, 0]
    updated = update_centroids(
        points, centroids, *nearest_centroids(points, centroids, 2), np.random.default_rng(0), exchanging=False
    )
    assert np.bincount(nearest_centroids(points, updated, 1)[1][:, 0], minlength=3).tolist() == [40, 40, 40]


def test_an_exchange_that_would_not_pay_is_left_out():
    points, _ = stuck()
    settled = np.stack([points[at : at + 40].mean(axis=0) for at in (0, 40, 80)])
    updated = update_centroids(
        points, settled, *nearest_centroids(points, settled, 2), np.random.default_rng(0), exchanging=True
    )
    assert updated == pytest.approx(settled, abs=1e-6)


def test_many_clusters_take_this_way_with_the_same_promises(monkeypatch):
    monkeypatch.setattr(clustering, "FEW", 10)
    points = unit_vectors(1500, 48, 5, groups=30)
    first = k_means(points * 3, 20, seed=9)
    sizes = np.bincount(first.labels)
    assert len(sizes) == len(first.centroids) == 20
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    to_all = np.linalg.norm(points[:, np.newaxis] - first.centroids, axis=2)
    assert first.distances == pytest.approx(to_all.min(axis=1), abs=1e-5)
    assert first.distances == pytest.approx(to_all[np.arange(1500), first.labels], abs=1e-5)
    threads = faiss.omp_get_max_threads()
    try:
        for count in (1, 2):
            faiss.omp_set_num_threads(count)
            again = k_means(points.copy() * 3, 20, seed=9)
            assert (again.labels == first.labels).all()
            assert again.centroids == pytest.approx(first.centroids, abs=1e-6)
    finally:
        faiss.omp_set_num_threads(threads)
    assert (k_means(points, 20, seed=10).labels != first.labels).any()


def test_copies_make_no_clusters_of_their_own(monkeypatch):
    monkeypatch.setattr(clustering, "FEW", 0)
    distinct = unit_vectors(7, 16, 0)
    result = k_means(np.repeat(distinct, 30, axis=0), 12, seed=0)
    assert np.bincount(result.labels).tolist() == [30] * 7
    assert result.inertia == pytest.approx(0, abs=1e-6)
    assert k_means(distinct.repeat(2, axis=0), 1, seed=0).centroids == pytest.approx(
        distinct.mean(axis=0, keepdims=True), abs=1e-6
    )
