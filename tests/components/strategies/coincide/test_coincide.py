"""COINCIDE: against the released code's numbers, against slow references, and its invariants."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.compute.local import LocalEngine
from components.schemas import CHOSEN
from components.strategies.coincide.concept_shares import (
    allocation_order,
    concept_density,
    concept_quotas,
    concept_shares,
    transferability,
)
from components.strategies.coincide.gaussian_kernel import GAMMA, kernel_row_sums
from components.strategies.coincide.greedy_mmd import greedy_mmd
from components.strategies.coincide.select import cluster_concepts, concept_share_table, select_by_concept
from components.strategies.coincide.spherical_k_means import concept_count, spherical_k_means
from tests.components.selection.golden import GOLDEN
from tests.shuffled_engine import ShuffledEngine


def load(name):
    return np.load(GOLDEN / f"coincide_{name}.npz", allow_pickle=False)


def unit_vectors(count, width, seed, *, groups=4, spread=0.6):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(groups, width))[rng.integers(0, groups, count)] + spread * rng.normal(
        size=(count, width)
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def density_of(vectors, profile):
    return concept_density(kernel_row_sums(vectors, gamma=GAMMA[profile]), profile=profile)


def picks_of(vectors, count, gamma):
    return greedy_mmd(vectors, kernel_row_sums(vectors, gamma=gamma) / len(vectors), count, gamma=gamma)


@pytest.mark.parametrize("name", ["a", "b"])
def test_golden_density_and_picks_in_order(name):
    file = load(name)
    vectors, labels = file["embeddings"].astype(np.float64), file["labels"]
    members = [np.flatnonzero(labels == cluster) for cluster in range(len(file["centroids"]))]
    density = np.array([density_of(vectors[rows], "released") for rows in members])
    np.testing.assert_allclose(density, file["density"], rtol=1e-12)
    shares = concept_shares(file["transferability"], density, temperature=float(file["temperature"]))
    sizes = np.array([len(rows) for rows in members])
    budget = int(float(file["fraction"]) * len(vectors))
    quotas = concept_quotas(shares, sizes, budget=budget, profile="released")
    picks = [
        members[cluster][picks_of(vectors[members[cluster]], quotas[cluster], gamma=0.5)]
        if quotas[cluster] < sizes[cluster]
        else members[cluster]  # a cluster taken whole is listed as it is
        for cluster in allocation_order(shares)
    ]
    np.testing.assert_array_equal(np.concatenate(picks), file["selected_indices_in_pick_order"])


def test_golden_transferability():
    file = load("transfer")
    found = transferability(file["centroids"], layers=int(file["layers"]), profile="released")
    np.testing.assert_allclose(found, file["transferability"], atol=2e-6)


def test_paper_transferability_and_density_by_hand():
    centroids = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0.6, 0.8, 0, 0]])
    np.testing.assert_allclose(transferability(centroids, layers=1, profile="paper"), [0.3, 0.4, 0.7])
    assert transferability(centroids[:1], layers=1, profile="paper").tolist() == [0.0]
    pair = np.array([[1.0, 0], [0, 1]])  # squared distance 2
    assert density_of(pair, "paper") == pytest.approx(np.exp(-2))
    assert density_of(pair, "released") == pytest.approx((1 + np.exp(-1)) / 2)
    assert density_of(pair[:1], "paper") == density_of(pair[:1], "released") == 1
    assert density_of(np.ones((3, 1)), "paper") == pytest.approx(1)


def test_a_layout_that_does_not_divide_is_named():
    with pytest.raises(ValueError, match="10 numbers, which are not 3 layers"):
        transferability(np.ones((2, 10)), layers=3, profile="released")


def test_shares_do_not_overflow():
    shares = concept_shares(np.array([0.9, 0.1]), np.array([1e-5, 1.0]), temperature=0.01)
    assert shares.tolist() == [1.0, 0.0]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(1e-4, 1), st.integers(1, 30)), min_size=1, max_size=12),
    st.integers(0, 200),
    st.sampled_from([0.01, 0.1, 1.0]),
)
def test_the_budget_is_spent_under_the_caps(clusters, budget, temperature):
    carried, density, sizes = (np.array(column) for column in zip(*clusters, strict=True))
    shares = concept_shares(carried, density, temperature=temperature)
    for profile in ("paper", "released"):
        quotas = concept_quotas(shares, sizes, budget=budget, profile=profile)
        assert (quotas >= 0).all()
        assert (quotas <= sizes).all()
        assert quotas.sum() <= budget
        if profile == "paper":
            assert quotas.sum() == min(budget, sizes.sum())


def slow_greedy_mmd(vectors, count, gamma):
    """The discrepancy of every candidate set, computed anew."""
    squares = ((vectors[:, np.newaxis] - vectors) ** 2).sum(axis=-1)
    kernel = np.exp(-gamma * squares)
    picks: list[int] = []
    for _ in range(count):
        best, lowest = -1, np.inf
        for candidate in range(len(vectors)):
            if candidate in picks:
                continue
            chosen = [*picks, candidate]
            value = kernel[np.ix_(chosen, chosen)].mean() - 2 * kernel[chosen].mean() + kernel.mean()
            if value < lowest - 1e-12:
                best, lowest = candidate, value
        picks.append(best)
    return picks


@given(
    # Of two members either stands for the pair as well as the other.
    st.integers(1, 25).filter(lambda size: size != 2),
    st.integers(0, 1000),
    st.sampled_from([0.5, 1.0]),
    st.data(),
)
def test_incremental_picks_are_those_of_the_slow_form(size, seed, gamma, data):
    count = data.draw(st.integers(0, size))
    vectors = unit_vectors(size, 5, seed).astype(np.float64)
    assert picks_of(vectors, count, gamma=gamma).tolist() == slow_greedy_mmd(vectors, count, gamma)


def test_of_equal_ones_the_first_and_never_one_twice():
    vectors = np.tile(np.array([[1.0, 0.0]]), (5, 1))
    assert picks_of(vectors, 5, gamma=1.0).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="6 of 5"):
        picks_of(vectors, 6, gamma=1.0)


def test_kernel_sums_of_more_rows_than_a_block():
    vectors = unit_vectors(2500, 4, 1).astype(np.float64)
    squares = 2 - 2 * vectors @ vectors.T
    np.testing.assert_allclose(kernel_row_sums(vectors, gamma=0.5), np.exp(-0.5 * squares).sum(axis=1), rtol=1e-6)


def test_spherical_k_means_is_as_good_as_many_restarts_of_a_plain_one():
    vectors = unit_vectors(1500, 24, 3, groups=10, spread=0.3)
    found = spherical_k_means(vectors, 30, iterations=50, seed=1)
    best = max(plain_spherical_k_means(vectors, 30, seed) for seed in range(5))
    assert found.similarity.mean() > 0.99 * best
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((vectors * found.centroids[found.labels]).sum(axis=1), found.similarity, atol=1e-5)
    sizes = np.bincount(found.labels, minlength=len(found.centroids))
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    again = spherical_k_means(vectors, 30, iterations=50, seed=1)
    np.testing.assert_array_equal(found.labels, again.labels)


def plain_spherical_k_means(vectors, clusters, seed):
    rng = np.random.default_rng(seed)
    centroids = vectors[rng.choice(len(vectors), clusters, replace=False)]
    for _ in range(50):
        labels = (vectors @ centroids.T).argmax(axis=1)
        sums = np.stack(
            [vectors[labels == c].sum(axis=0) if (labels == c).any() else centroids[c] for c in range(clusters)]
        )
        centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return (vectors @ centroids.T).max(axis=1).mean()


def test_no_cluster_is_empty_when_vectors_repeat():
    vectors = np.repeat(unit_vectors(3, 8, 2), 10, axis=0)
    found = spherical_k_means(vectors, 9, iterations=20, seed=0)
    assert set(found.labels.tolist()) == set(range(len(found.centroids)))


@pytest.mark.parametrize(("samples", "clusters", "expected"), [(624_610, "auto", 10_074), (30, "auto", 1), (5, 9, 5)])
def test_number_of_clusters(samples, clusters, expected):
    assert concept_count(samples, clusters) == expected


def test_impossible_clusterings_are_named():
    with pytest.raises(ValueError, match="4 clusters of 3 vectors"):
        spherical_k_means(unit_vectors(3, 4, 0), 4, iterations=5, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        spherical_k_means(np.full((3, 4), np.nan, np.float32), 2, iterations=5, seed=0)


def make_pool(count=300, seed=4):
    features = unit_vectors(count, 16, seed)
    rows = [(f"{'ab'[i % 2]}/{i:03d}", "ab"[i % 2], f"{i:064x}") for i in range(count)]
    samples = pa.table(list(zip(*rows, strict=True)), schema=CHOSEN)
    order = samples["sample_id"].to_pylist()
    ranks = np.argsort(order, kind="stable")
    return samples.take(ranks), features[ranks]


@pytest.mark.parametrize("profile", ["paper", "released"])
def test_from_features_to_a_selection(profile):
    samples, features = make_pool()
    found = cluster_concepts(samples, features, clusters=6, iterations=20, seed=3, engine=LocalEngine())
    elsewhere = cluster_concepts(samples, features, clusters=6, iterations=20, seed=3, engine=ShuffledEngine())
    assert (elsewhere.concepts, elsewhere.centroids) == (found.concepts, found.centroids)
    shares = concept_share_table(
        found.concepts, found.centroids, features, layers=2, budget=60, temperature=0.3, profile=profile
    )
    selection = select_by_concept(found.concepts, shares, features, profile=profile)
    assert selection["sample_id"].to_pylist() == sorted(samples["sample_id"].to_pylist())
    assert sum(selection["picked"].to_pylist()) == sum(shares.shares["quota"].to_pylist())
    if profile == "paper":
        assert sum(selection["picked"].to_pylist()) == 60
    quotas = dict(zip(shares.shares["cluster"].to_pylist(), shares.shares["quota"].to_pylist(), strict=True))
    for row in selection.to_pylist():
        assert row["quota"] == quotas[row["cluster"]]
        assert row["picked"] == (row["rank"] > 0) == (row["copies"] == 1) == row["reason"].startswith("picked")
        assert 0 < row["score"] <= 1


def test_the_picks_represent_the_cluster_better_than_chance():
    samples, features = make_pool(400)
    found = cluster_concepts(samples, features, clusters=1, iterations=5, seed=3, engine=LocalEngine())
    shares = concept_share_table(
        found.concepts, found.centroids, features, layers=2, budget=30, temperature=0.3, profile="paper"
    )
    selection = select_by_concept(found.concepts, shares, features, profile="paper")
    vectors = features.astype(np.float64)

    def discrepancy(rows):
        cross = np.exp(-(2 - 2 * vectors[rows] @ vectors.T))
        own = np.exp(-(2 - 2 * vectors[rows] @ vectors[rows].T))
        return own.mean() - 2 * cross.mean()

    picked = np.flatnonzero(selection["picked"].to_numpy())
    rng = np.random.default_rng(0)
    assert discrepancy(picked) < min(discrepancy(rng.choice(400, 30, replace=False)) for _ in range(50))
