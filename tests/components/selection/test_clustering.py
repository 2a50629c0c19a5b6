import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from components.selection.cluster_seeding import choose_seeds, draw_rows
from components.selection.cluster_swaps import propose_swap
from components.selection.clustering import assign_to_centroids, cluster_count, k_means


def unit_vectors(count, width, seed, *, groups=0, spread=1.0):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, width))
    if groups:
        centres = rng.standard_normal((groups, width))
        vectors = centres[rng.choice(groups, count, p=rng.dirichlet(np.ones(groups)))] + spread * vectors
    vectors = vectors.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(("images", "clusters"), [(1, 1), (99, 1), (100, 1), (199, 1), (200, 2), (1234, 12)])
def test_cluster_count(images, clusters):
    assert cluster_count(images, images_per_cluster=100) == clusters


def test_cluster_count_names_bad_values():
    with pytest.raises(ValueError, match="got 0 images and 100 images per cluster"):
        cluster_count(0, images_per_cluster=100)
    with pytest.raises(ValueError, match="got 5 images and 0 images per cluster"):
        cluster_count(5, images_per_cluster=0)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("count", "width", "clusters", "groups", "spread"),
    [
        (1500, 32, 15, 0, 1.0),  # no clusters in it
        (1500, 64, 15, 15, 0.3),  # as many as asked for, apart
        (2000, 64, 20, 20, 1.0),  # overlapping
        (1500, 64, 15, 30, 0.5),  # twice as many as asked for
        (600, 128, 6, 3, 0.5),  # half as many
    ],
)
def test_inertia_is_within_one_percent_of_sklearns(count, width, clusters, groups, spread, seed):
    vectors = unit_vectors(count, width, 7, groups=groups, spread=spread)
    theirs = KMeans(clusters, n_init=10, random_state=0).fit(vectors).inertia_
    ours = k_means(vectors, clusters, seed=seed, iterations=100, restarts=4)
    assert ours.inertia <= 1.01 * theirs


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 100), st.data())
def test_invariants(count, width, seed, data):
    # Few distinct values: duplicates are common.
    vectors = np.random.default_rng(seed).integers(-1, 2, (count, width)).astype(np.float32) * 3 + 1
    clusters = data.draw(st.integers(1, count))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distinct = len(np.unique(unit.round(5), axis=0))
    result = k_means(vectors, clusters, seed=seed, iterations=20, restarts=1)
    sizes = np.bincount(result.labels)
    assert len(result.centroids) == len(sizes) <= min(clusters, distinct)
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    to_all = np.linalg.norm(unit[:, np.newaxis] - result.centroids, axis=2)
    assert result.distances == pytest.approx(to_all.min(axis=1), abs=1e-5)
    assert result.distances == pytest.approx(to_all[np.arange(count), result.labels], abs=1e-5)
    assert result.inertia == pytest.approx(float((to_all.min(axis=1) ** 2).sum()), abs=1e-4)
    if clusters >= distinct:
        assert len(sizes) == distinct
        assert result.inertia == pytest.approx(0, abs=1e-6)


def test_length_does_not_matter_and_clusters_are_those_one_sees():
    vectors = np.array([[1, 0], [5, 0.01], [0, 2], [0.01, 1], [0, 9]], dtype=np.float32)
    result = k_means(vectors, 2, seed=0, iterations=10, restarts=1)
    assert result.labels.tolist() == [1, 1, 0, 0, 0]
    assert result.labels.dtype == np.int64
    assert result.centroids.dtype == np.float32
    assert result.distances.dtype == np.float32


def test_equal_vectors_make_one_cluster():
    result = k_means(np.ones((50, 8), dtype=np.float32), 5, seed=0, iterations=10, restarts=2)
    assert result.labels.tolist() == [0] * 50
    assert result.centroids.shape == (1, 8)
    assert result.inertia == pytest.approx(0, abs=1e-10)


def test_a_cluster_per_vector():
    vectors = unit_vectors(30, 16, 3)
    result = k_means(vectors, 30, seed=0, iterations=10, restarts=1)
    assert sorted(result.labels) == list(range(30))
    # Equally large clusters are numbered by centroid, so not by the random start.
    other = k_means(vectors, 30, seed=1, iterations=10, restarts=1)
    assert (other.labels == result.labels).all()


def test_a_seed_fixes_the_clusters_on_any_number_of_threads():
    vectors = unit_vectors(1500, 48, 5, groups=30)
    first = k_means(vectors, 20, seed=9, iterations=50, restarts=2)
    threads = faiss.omp_get_max_threads()
    try:
        for count in (1, 2):
            faiss.omp_set_num_threads(count)
            again = k_means(vectors.copy(), 20, seed=9, iterations=50, restarts=2)
            assert (again.labels == first.labels).all()
            assert again.centroids == pytest.approx(first.centroids, abs=1e-6)
    finally:
        faiss.omp_set_num_threads(threads)
    assert (k_means(vectors, 20, seed=10, iterations=50, restarts=2).labels != first.labels).any()


def test_all_vectors_take_part():
    # faiss by itself trains on 256 vectors per centroid; the mean of all shows that we do not.
    vectors = unit_vectors(2000, 8, 11)
    result = k_means(vectors, 1, seed=0, iterations=5, restarts=1)
    assert result.centroids[0] == pytest.approx(vectors.mean(axis=0), abs=1e-6)


def test_the_input_is_left_alone():
    vectors = unit_vectors(100, 8, 1) * 3
    before = vectors.copy()
    k_means(vectors, 5, seed=0, iterations=5, restarts=1)
    assert (vectors == before).all()


def test_new_vectors_go_to_the_nearest_centroid():
    vectors = unit_vectors(400, 16, 2, groups=4, spread=0.3)
    result = k_means(vectors, 4, seed=0, iterations=50, restarts=1)
    labels, distances = assign_to_centroids(vectors * 7, result.centroids)
    assert (labels == result.labels).all()
    assert distances == pytest.approx(result.distances, abs=1e-6)
    with pytest.raises(ValueError, match="the dimensions must agree"):
        assign_to_centroids(vectors[:, :8], result.centroids)


def test_seeds_are_distinct_points_and_stop_when_there_are_no_more():
    vectors = np.repeat(unit_vectors(5, 4, 0), 10, axis=0)
    seeds = choose_seeds(vectors, 20, np.random.default_rng(0))
    assert len(seeds) == 5
    assert len({seed // 10 for seed in seeds}) == 5


def test_rows_without_weight_are_never_drawn():
    cumulative = np.cumsum([0.0, 1.0, 0.0, 3.0, 0.0])
    drawn = draw_rows(cumulative, 4000, np.random.default_rng(0))
    assert set(drawn.tolist()) == {1, 3}
    assert (drawn == 3).mean() == pytest.approx(0.75, abs=0.03)


def test_a_swap_frees_a_centroid_that_is_stuck():
    # Two centroids share one group and one stands between two others: Lloyd's iterations cannot leave that.
    groups = np.eye(3, dtype=np.float32)
    rng = np.random.default_rng(0)
    points = np.repeat(groups, 40, axis=0) + 0.02 * rng.standard_normal((120, 3)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    stuck = np.stack([points[0], points[1], (groups[1] + groups[2]) / 2])

    def two_nearest(centroids):
        squared = ((points[:, np.newaxis] - centroids) ** 2).sum(axis=2)
        labels = np.argsort(squared, axis=1)[:, :2]
        return np.take_along_axis(squared, labels, axis=1), labels

    distances, labels = two_nearest(stuck)
    swapped = propose_swap(points, stuck, distances, labels, np.random.default_rng(1))
    assert two_nearest(swapped)[0][:, 0].sum() < 0.8 * distances[:, 0].sum()
    assert (swapped == stuck).all(axis=1).sum() == 2
    on_centroids = propose_swap(groups, groups, np.zeros((3, 2), np.float32), np.zeros((3, 2), np.int64), rng)
    assert (on_centroids == groups).all()


@pytest.mark.parametrize(
    ("clusters", "iterations", "restarts", "complaint"),
    [
        (0, 10, 1, "cluster_count is 0; allowed: 1 to the number of vectors, 4"),
        (5, 10, 1, "cluster_count is 5; allowed"),
        (2, 0, 1, "iterations is 0 and restarts is 1"),
        (2, 10, 0, "iterations is 10 and restarts is 0"),
    ],
)
def test_bad_input_is_named(clusters, iterations, restarts, complaint):
    with pytest.raises(ValueError, match=complaint):
        k_means(np.eye(4, dtype=np.float32), clusters, seed=0, iterations=iterations, restarts=restarts)


def test_vectors_that_cannot_be_normalised_are_named():
    vectors = np.eye(4, dtype=np.float32)
    vectors[2] = 0
    with pytest.raises(ValueError, match="1 of 4 vectors cannot be normalised, first row 2"):
        k_means(vectors, 2, seed=0, iterations=5, restarts=1)
