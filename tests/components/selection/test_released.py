"""Allocation and picks of the released profiles against slow references written from their rules, on small worlds."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.selection.allocation import allocate
from components.selection.cluster_cells import count_cluster_cells
from components.selection.select import select_samples
from components.strategies.coincide.concept_shares import allocation_order, concept_quotas
from components.strategies.coincide.gaussian_kernel import kernel_row_sums
from components.strategies.coincide.greedy_mmd import greedy_mmd
from components.strategies.tive.task_difficulty import task_difficulty, tive_quotas


def task_shares_before_caps(weights, budget):
    """Truncated; the whole remainder goes to the first of the largest weights."""
    shares = {task: int(weight * budget) for task, weight in weights.items()}
    shares[max(weights, key=weights.__getitem__)] += budget - sum(shares.values())
    return shares


def cluster_quotas(clusters, share):
    """Of one task: clusters as (size, available), its share before any cap."""
    total = sum(available for _, available in clusters)
    if not total:
        return [0] * len(clusters)
    # First what each is due, rounded half to even, then the cap at what it has, then one pass of corrections.
    quotas = [round(available / total * share) for _, available in clusters]
    quotas = [min(quota, available) for quota, (_, available) in zip(quotas, clusters, strict=True)]
    left = share - sum(quotas)
    for at in sorted(range(len(clusters)), key=lambda at: clusters[at][0], reverse=left > 0):
        if left > 0 and quotas[at] < clusters[at][1]:
            quotas[at], left = quotas[at] + 1, left - 1
        elif left < 0 < quotas[at]:
            quotas[at], left = quotas[at] - 1, left + 1
    return quotas


@st.composite
def worlds(draw):
    """Tasks of some clusters each, down to one cluster of one image; sizes and weights that tie; any budget."""
    tasks = [f"t{number}" for number in range(draw(st.integers(1, 4)))]
    clusters = {}
    for task in tasks:
        sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
        clusters[task] = [(size, draw(st.integers(0, size))) for size in sizes]
    raw = [draw(st.sampled_from([0.1, 0.5, 1.0, 3.0])) for _ in tasks]
    weights = {task: weight / math.fsum(raw) for task, weight in zip(tasks, raw, strict=True)}
    return clusters, weights, draw(st.integers(0, 60))


@given(worlds())
def test_quotas_are_the_released_codes_before_and_after_their_caps(world):
    clusters, weights, budget = world
    rows = [(task, *one) for task, of_task in clusters.items() for one in of_task]
    found = allocate(
        [task for task, _, _ in rows],
        np.array([size for _, size, _ in rows]),
        np.array([available for _, _, available in rows]),
        weights,
        budget=budget,
        profile="released",
    )
    shares = task_shares_before_caps(weights, budget)
    expected = [quota for task, of_task in clusters.items() for quota in cluster_quotas(of_task, shares[task])]
    assert found.quotas.tolist() == expected
    assert found.unspent == budget - sum(expected)


def picks_of_cluster(ids, vectors, quota, neighbours):
    """The most central, cosines by hand, self left out; ties by id."""
    unit = [vector / math.sqrt(sum(value * value for value in vector)) for vector in vectors.astype(np.float64)]
    scores = []
    for at, one in enumerate(unit):
        cosines = sorted((float(one @ other) for place, other in enumerate(unit) if place != at), reverse=True)
        nearest = cosines[: min(neighbours, len(unit) - 1)]
        scores.append(round(sum(nearest) / len(nearest), 9) if nearest else 0.0)
    return {ids[at] for at in sorted(range(len(ids)), key=lambda at: (-scores[at], ids[at]))[:quota]}


@given(worlds(), st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None, max_examples=50)
def test_picks_are_the_most_central_and_a_full_cluster_is_taken_whole(world, seed, twins):
    clusters, weights, budget = world
    rng = np.random.default_rng(seed)
    rows = [
        (task, number, place >= available)
        for task, of_task in clusters.items()
        for number, (size, available) in enumerate(of_task)
        for place in range(size)
    ]
    vectors = rng.normal(size=(len(rows), 4)).astype(np.float32)
    if twins:  # exact copies: their scores tie
        vectors[1::2] = vectors[: len(rows) // 2 * 2 : 2]
    ids = [f"{number:03d}" for number in rng.permutation(len(rows))]
    tasks, labels = [task for task, _, _ in rows], np.array([label for _, label, _ in rows])
    is_reference = np.array([reference for _, _, reference in rows])
    cells = count_cluster_cells(tasks, labels, is_reference)
    quotas = allocate(cells.tasks, cells.sizes, cells.available, weights, budget=budget, profile="released").quotas
    result = select_samples(ids, tasks, labels, is_reference, vectors, cells=cells, quotas=quotas, neighbours=5)
    expected = set()
    for task, number, quota in zip(cells.tasks, cells.clusters.tolist(), quotas.tolist(), strict=True):
        members = [at for at, row in enumerate(rows) if row == (task, number, False)]
        if members:
            expected |= picks_of_cluster([ids[at] for at in members], vectors[members], quota, 5)
    assert {ids[at] for at in np.flatnonzero(result.picked)} == expected


def concept_quotas_slowly(shares, sizes, budget):
    left, quotas = min(budget, sum(sizes)), [0] * len(sizes)
    waiting = sorted(range(len(shares)), key=lambda at: (-shares[at], at))
    while waiting:
        due = round(left * float(shares[waiting[0]] / sum(shares[at] for at in reversed(waiting))))
        at = waiting.pop(0)
        quotas[at] = sizes[at] if due > sizes[at] else due
        left -= quotas[at]
    return quotas


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 4, 7]), st.integers(1, 12)), min_size=1, max_size=6), st.integers(0, 80)
)
def test_a_concept_that_is_smaller_than_its_share_is_taken_whole_and_the_others_share_the_rest(concepts, budget):
    weights, sizes = np.array([weight for weight, _ in concepts], dtype=float), [size for _, size in concepts]
    shares = weights / weights.sum()
    found = concept_quotas(shares, np.array(sizes), budget=budget, profile="released")
    expected = concept_quotas_slowly(shares, sizes, budget)
    assert found.tolist() == expected
    order = allocation_order(shares).tolist()
    assert order == sorted(range(len(sizes)), key=lambda at: (-weights[at], at))


def mmd_picks_slowly(vectors, count, gamma):
    """Every candidate's discrepancy from its definition."""
    size = len(vectors)
    kernel = [[math.exp(-gamma * float(((one - other) ** 2).sum())) for other in vectors] for one in vectors]
    picks: list[int] = []
    while len(picks) < count:
        values = {}
        for candidate in set(range(size)) - set(picks):
            chosen = [*picks, candidate]
            among = sum(kernel[one][other] for one in chosen for other in chosen) / len(chosen) ** 2
            across = sum(kernel[one][other] for one in chosen for other in range(size)) / (len(chosen) * size)
            values[candidate] = among - 2 * across
        least = min(values.values())
        picks.append(min(candidate for candidate, value in values.items() if value <= least + 1e-12))
    return picks


# Of two members either stands for the pair as well as the other.
@given(st.integers(1, 9).filter(lambda size: size != 2), st.integers(0, 2**32 - 1), st.data())
@settings(deadline=None, max_examples=50)
def test_greedy_picks_have_the_lowest_discrepancy_in_their_order_up_to_the_whole_cluster(size, seed, data):
    vectors = np.random.default_rng(seed).normal(size=(size, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    count = data.draw(st.integers(0, size))
    typicality = kernel_row_sums(vectors, gamma=0.5) / size
    assert greedy_mmd(vectors, typicality, count, gamma=0.5).tolist() == mmd_picks_slowly(vectors, count, 0.5)


@given(
    st.lists(st.lists(st.sampled_from([0.25, 1.0, 1.5, 4.0]), min_size=1, max_size=6), min_size=1, max_size=4),
    st.integers(1, 40),
)
def test_a_tasks_quota_follows_its_mean_norm_before_any_cap(norms, budget):
    tasks = [f"t{number}" for number, of_task in enumerate(norms) for _ in of_task]
    found = task_difficulty(tasks, np.array([one for of_task in norms for one in of_task]), self_influence="norm")
    means = [sum(of_task) / len(of_task) for of_task in norms]
    quotas = tive_quotas(
        [one.share for one in found], [one.samples for one in found], budget=budget, rounding="released"
    )
    assert [one.share for one in found] == [mean / sum(means) for mean in means]
    assert quotas == [int(mean / sum(means) * budget) for mean in means], "more than the task has is repeated later"
