import numpy as np
import pytest

from components.report.map import project_to_plane


def groups(count=60, width=16, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.eye(width)[:3] * 5
    labels = np.arange(count) % 3
    return centres[labels] + 0.3 * rng.standard_normal((count, width)), labels


def test_pca_is_the_plane_of_largest_variance_with_fixed_signs():
    vectors, _ = groups()
    plane = project_to_plane(vectors, seed=0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    values, axes = np.linalg.eigh(np.cov(unit.T, bias=True))
    assert plane.shape == (60, 2)
    assert plane.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert plane.var(axis=0) == pytest.approx(values[-1:-3:-1])
    for column, axis in zip(plane.T, axes.T[-1:-3:-1], strict=True):
        signed = axis * np.sign(axis[np.abs(axis).argmax()])
        assert column == pytest.approx((unit - unit.mean(axis=0)) @ signed, abs=1e-9)


def test_groups_stay_apart_and_a_seed_fixes_the_map():
    vectors, labels = groups()
    plane = project_to_plane(vectors, seed=1)
    assert (project_to_plane(vectors, seed=1) == plane).all()
    centres = np.stack([plane[labels == group].mean(axis=0) for group in range(3)])
    nearest = np.linalg.norm(plane[:, np.newaxis] - centres, axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95


@pytest.mark.parametrize(("count", "width"), [(0, 4), (1, 4), (2, 4), (3, 4), (6, 1), (5, 2)])
def test_small_inputs_have_a_map_too(count, width):
    vectors = np.abs(np.random.default_rng(0).standard_normal((count, width))) + 0.1
    plane = project_to_plane(vectors, seed=0)
    assert plane.shape == (count, 2)
    assert np.isfinite(plane).all()


def test_equal_vectors_fall_on_one_point():
    assert project_to_plane(np.ones((20, 3)), seed=0) == pytest.approx(np.zeros((20, 2)))


def test_axes_come_from_a_subsample_when_there_are_many_vectors():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((6000, 3)) * [5, 2, 0.1] + [0, 0, 8]
    assert project_to_plane(vectors, seed=0).shape == (6000, 2)
