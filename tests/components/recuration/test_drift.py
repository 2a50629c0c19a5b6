import numpy as np
import pytest

from components.recuration.drift import measure_drift, welch_p_value
from components.selection.clustering import assign_to_centroids, k_means


def drawn(count, rng, *, spread=0.3, shift=0.0, width=16, groups=4):
    centres = np.random.default_rng(0).standard_normal((groups, width))
    vectors = centres[rng.integers(groups, size=count)] + spread * rng.standard_normal((count, width))
    vectors[:, 0] += shift
    return vectors.astype(np.float32)


def drift_of(old, new, clusters=4):
    result = k_means(old, clusters, seed=1, iterations=50, restarts=2)
    sizes = np.bincount(result.labels)[result.labels]
    return measure_drift(result.distances, sizes, assign_to_centroids(new, result.centroids)[1])


def test_an_old_image_is_measured_against_the_centroid_without_itself():
    rng = np.random.default_rng(3)
    points = rng.standard_normal((7, 5))
    slow = [((point - np.delete(points, at, axis=0).mean(axis=0)) ** 2).sum() for at, point in enumerate(points)]
    distances = np.linalg.norm(points - points.mean(axis=0), axis=1)
    drift = measure_drift(distances, np.full(7, 7), np.array([2.0, 2.0]))
    assert drift.old_mean == pytest.approx(np.mean(slow))
    assert (drift.old_images, drift.new_images, drift.new_mean) == (7, 2, 4.0)
    assert drift.ratio == pytest.approx(4 / np.mean(slow))


def test_a_cluster_of_one_is_not_compared():
    drift = measure_drift(np.array([0.0, 1.0, 1.0]), np.array([1, 2, 2]), np.array([2.0]))
    assert (drift.old_images, drift.old_mean, drift.new_mean) == (2, 4.0, 4.0)


def test_values_that_do_not_vary_have_a_p_value():
    ones = np.ones(5)
    assert (welch_p_value(2 * ones, ones), welch_p_value(ones, 2 * ones), welch_p_value(ones, ones)) == (0.0, 1.0, 1.0)
    assert np.isnan(welch_p_value(ones[:1], ones))


def test_images_like_the_old_ones_are_seldom_called_drifted():
    beyond = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        drift = drift_of(drawn(300, rng), drawn(80, rng))
        beyond += drift.is_beyond(ratio=1.0, significance=0.05)
    # 5 % of 30 are 1.5; without the correction of the old distances it is far more.
    assert beyond <= 5


def test_images_unlike_the_old_ones_are_called_drifted():
    rng = np.random.default_rng(1)
    old = drawn(300, rng)
    assert drift_of(old, drawn(40, rng, shift=1.5)).is_beyond(ratio=1.1, significance=0.01)
    assert not drift_of(old, drawn(40, rng)).is_beyond(ratio=1.1, significance=0.01)


def test_significance_and_size_must_both_hold():
    many = np.sqrt(np.random.default_rng(2).uniform(0.9, 1.1, 5000))
    sizes = np.full(5000, 5000)
    little = measure_drift(many, sizes, many * 1.01)
    assert little.p_value < 1e-6
    assert not little.is_beyond(ratio=1.1, significance=0.01)
    one = measure_drift(many, sizes, np.array([5.0]))
    assert one.ratio > 1.1
    assert not one.is_beyond(ratio=1.1, significance=0.01), "one image proves nothing"


def test_nothing_to_compare():
    nothing = np.array([])
    drift = measure_drift(np.array([1.0]), np.array([2]), nothing)
    assert np.isnan([drift.new_mean, drift.ratio, drift.p_value]).all()
    assert not drift.is_beyond(ratio=1.1, significance=0.01)
    same = measure_drift(np.zeros(3), np.full(3, 3), np.zeros(3))
    assert (same.ratio, same.p_value) == (1.0, 1.0)
    off = measure_drift(np.zeros(3), np.full(3, 3), np.ones(3))
    assert off.is_beyond(ratio=1.1, significance=0.01)


def test_lengths_and_sizes_are_checked():
    with pytest.raises(ValueError, match="one size per distance"):
        measure_drift(np.zeros(2), np.ones(3, dtype=np.int64), np.zeros(0))
    with pytest.raises(ValueError, match="at least 1"):
        measure_drift(np.zeros(1), np.zeros(1, dtype=np.int64), np.zeros(0))
