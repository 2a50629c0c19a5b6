import numpy as np
import pytest
import torch

from components.models.features.random_projection import RandomProjection

CPU = torch.device("cpu")


def project(vectors, dimension, seed, pieces=3):
    """Project (n, p) vectors that come in several pieces."""
    projection = RandomProjection(dimension, seed=seed, device=CPU)
    parts = torch.tensor_split(torch.as_tensor(vectors), pieces, dim=1)
    projected = [projection.project(f"piece {number}", part) for number, part in enumerate(parts)]
    return torch.stack(projected).sum(dim=0).double().numpy()


def distortions(x, y, dimension, draws=400):
    exact = float(x @ y)
    return np.array(
        [np.prod(project(np.stack([x, y]), dimension, seed), axis=0).sum() - exact for seed in range(draws)]
    )


@pytest.mark.parametrize("size", [1000, 4099])
@pytest.mark.parametrize("dimension", [64, 512])
def test_inner_products_as_under_johnson_lindenstrauss(size, dimension):
    rng = np.random.default_rng(size)
    x = rng.normal(size=size)
    y = 0.6 * x + rng.normal(size=size)
    found = distortions(x, y, dimension)
    expected = np.sqrt((x @ x * (y @ y) + (x @ y) ** 2 - 2 * (x**2 * y**2).sum()) / dimension)
    assert abs(found.mean()) < 4 * expected / np.sqrt(len(found)), "biased"
    assert found.std() < 1.15 * expected
    assert found.std() > 0.7 * expected, "a projection that distorts less than it can has been measured wrongly"


def test_a_vector_of_few_numbers_keeps_its_length():
    x = np.zeros(5000)
    x[[3, 4000]] = 2.0, -1.0
    norms = [np.linalg.norm(project(x[np.newaxis], 256, seed)) for seed in range(20)]
    assert np.median(norms) == pytest.approx(np.sqrt(5), rel=1e-6)


def test_it_is_linear_seeded_and_differs_by_piece():
    x, y = np.random.default_rng(1).normal(size=(2, 700))
    both = project(np.stack([x, y, x + y]), 128, 5)
    np.testing.assert_allclose(both[0] + both[1], both[2], atol=1e-4)
    np.testing.assert_array_equal(both[0], project(x[np.newaxis], 128, 5)[0])
    assert not np.allclose(both[0], project(x[np.newaxis], 128, 6)[0])
    projection = RandomProjection(64, seed=5, device=CPU)
    row = torch.as_tensor(x[np.newaxis])
    assert not torch.equal(projection.project("a", row), projection.project("b", row))


def test_fewer_numbers_than_outputs_lose_nothing():
    x, y = np.random.default_rng(2).normal(size=(2, 40))
    projected = project(np.stack([x, y]), 512, 3, pieces=1)
    assert projected[0] @ projected[1] == pytest.approx(x @ y, rel=1e-5)
