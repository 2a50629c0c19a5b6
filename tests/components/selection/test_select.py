import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.selection.cluster_cells import count_cluster_cells
from components.selection.drawn_selection import select_random
from components.selection.neighbour_centrality import neighbour_centrality
from components.selection.select import select_samples


def pool(seed, count=40):
    rng = np.random.default_rng(seed)
    tasks = [("ocr", "vqa")[at] for at in rng.integers(0, 2, count)]
    ids = [f"{task}/{row:03d}" for row, task in enumerate(tasks)]
    clusters = rng.integers(0, 3, count)
    is_reference = rng.random(count) < 0.2
    vectors = rng.standard_normal((count, 6)).astype(np.float32)
    cells = count_cluster_cells(tasks, clusters, is_reference)
    quotas = np.array([rng.integers(0, available + 1) for available in cells.available])
    return ids, tasks, clusters, is_reference, vectors, cells, quotas


def test_cells_are_counted_and_sorted():
    cells = count_cluster_cells(
        ["b", "a", "a", "a", "b"], np.array([0, 1, 0, 1, 0]), np.array([True, False, True, False, True])
    )
    assert cells.tasks == ("a", "a", "b")
    assert cells.clusters.tolist() == [0, 1, 0]
    assert cells.sizes.tolist() == [1, 2, 2]
    assert cells.available.tolist() == [0, 2, 0]
    with pytest.raises(ValueError, match="1 tasks, 2 clusters and 2 reference marks"):
        count_cluster_cells(["a"], np.array([0, 1]), np.array([False, False]))


@given(st.integers(0, 10_000))
def test_the_most_central_of_each_cluster_are_picked(seed):
    ids, tasks, clusters, is_reference, vectors, cells, quotas = pool(seed)
    result = select_samples(ids, tasks, clusters, is_reference, vectors, cells=cells, quotas=quotas)
    assert result.picked.sum() == quotas.sum()
    assert not result.picked[is_reference].any()
    assert (result.rank[is_reference] == 0).all()
    assert np.isnan(result.centrality[is_reference]).all()
    for cell, (task, cluster) in enumerate(zip(cells.tasks, cells.clusters, strict=True)):
        in_cell = np.array([name == task for name in tasks]) & (clusters == cluster)
        free = np.flatnonzero(in_cell & ~is_reference)
        assert (result.quota[in_cell] == quotas[cell]).all()
        assert sorted(result.rank[free]) == list(range(1, len(free) + 1))
        assert result.picked[free].sum() == quotas[cell]
        if len(free):
            # Reference images are no neighbours: Eq. 7 sees the available images of the cluster alone.
            assert (result.centrality[free] == neighbour_centrality(vectors[free])).all()
        by_rank = free[np.argsort(result.rank[free])]
        assert (np.diff(result.centrality[by_rank]) <= 0).all()


@given(st.integers(0, 10_000))
def test_neither_the_order_of_samples_nor_the_other_tasks_matter(seed):
    ids, tasks, clusters, is_reference, vectors, cells, quotas = pool(seed)
    result = select_samples(ids, tasks, clusters, is_reference, vectors, cells=cells, quotas=quotas)
    order = np.random.default_rng(seed + 1).permutation(len(ids))
    for rows in (order, np.array([row for row in order if tasks[row] == "ocr"], dtype=np.int64)):
        part = select_samples(
            [ids[row] for row in rows],
            [tasks[row] for row in rows],
            clusters[rows],
            is_reference[rows],
            vectors[rows],
            cells=cells,
            quotas=quotas,
        )
        assert (part.picked == result.picked[rows]).all()
        assert (part.rank == result.rank[rows]).all()


def test_vectors_may_be_memory_mapped(tmp_path):
    ids, tasks, clusters, is_reference, vectors, cells, quotas = pool(5)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    expected = select_samples(ids, tasks, clusters, is_reference, vectors, cells=cells, quotas=quotas)
    result = select_samples(ids, tasks, clusters, is_reference, mapped, cells=cells, quotas=quotas)
    assert (result.picked == expected.picked).all()


def test_bad_input_is_named():
    ids, tasks, clusters, is_reference, vectors, cells, quotas = pool(1)

    def select(rows=slice(None), *, clusters=clusters, quotas=quotas, ids=ids):
        return select_samples(
            ids[rows],
            tasks[rows],
            clusters[rows],
            is_reference[rows],
            vectors[rows],
            cells=cells,
            quotas=quotas,
        )

    with pytest.raises(ValueError, match="39 sample ids, 40 tasks"):
        select(ids=ids[1:])
    with pytest.raises(ValueError, match="5 quotas for 6 clusters"):
        select(quotas=quotas[1:])
    with pytest.raises(ValueError, match="pass complete tasks or count again"):
        select(slice(0, 20))
    with pytest.raises(ValueError, match=r"cluster 9 of task .* has no quota"):
        select(clusters=np.where(np.arange(40) == 3, 9, clusters))
    with pytest.raises(ValueError, match=r"cluster 0 of task 'ocr' has a quota of \d+, but \d+ images"):
        select(quotas=quotas + cells.available + 1)


@given(st.integers(0, 1000), st.data())
def test_random_picks_the_budget_outside_the_reference_set(seed, data):
    ids, _, _, is_reference, *_ = pool(seed)
    free = int((~is_reference).sum())
    budget = data.draw(st.integers(0, free))
    picked = select_random(ids, is_reference, budget=budget, rng=np.random.default_rng(seed))
    assert picked.sum() == budget
    assert not (picked & is_reference).any()
    order = np.random.default_rng(1).permutation(len(ids))
    again = select_random(
        [ids[row] for row in order], is_reference[order], budget=budget, rng=np.random.default_rng(seed)
    )
    assert (again == picked[order]).all()


def test_random_is_uniform():
    ids = [f"{row}" for row in range(10)]
    is_reference = np.arange(10) < 2
    rng = np.random.default_rng(0)
    counts = np.sum([select_random(ids, is_reference, budget=2, rng=rng) for _ in range(4000)], axis=0)
    # 8 candidates, 1000 picks expected each, standard deviation 27.
    assert (counts[:2] == 0).all()
    assert (np.abs(counts[2:] - 1000) < 140).all()


@pytest.mark.parametrize("budget", [-1, 9])
def test_random_names_a_budget_that_cannot_be_picked(budget):
    is_reference = np.arange(10) < 2
    with pytest.raises(ValueError, match=f"cannot pick {budget} images at random: 8 are outside"):
        select_random([str(row) for row in range(10)], is_reference, budget=budget, rng=np.random.default_rng(0))


@given(st.integers(0, 20), st.data())
def test_what_is_kept_stays_and_the_best_ranked_others_fill_the_quota(seed, data):
    ids, tasks, clusters, is_reference, vectors, cells, _ = pool(seed)
    is_kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))))
    # Counted with all others taken for reference images, what is available is what is kept.
    counted = count_cluster_cells(tasks, clusters, is_reference | ~is_kept).available
    quotas = np.array(
        [data.draw(st.integers(int(low), int(high))) for low, high in zip(counted, cells.available, strict=True)]
    )
    result = select_samples(ids, tasks, clusters, is_reference, vectors, cells=cells, quotas=quotas, is_kept=is_kept)
    kept = is_kept & ~is_reference
    assert (result.picked >= kept).all()
    assert not (result.picked & is_reference).any()
    for cell, quota in enumerate(quotas):
        rows = [
            row
            for row in range(len(ids))
            if (tasks[row], clusters[row]) == (cells.tasks[cell], cells.clusters[cell]) and not is_reference[row]
        ]
        assert result.picked[rows].sum() == quota
        added = [result.rank[row] for row in rows if result.picked[row] and not kept[row]]
        passed = [result.rank[row] for row in rows if not result.picked[row]]
        assert max(added, default=0) <= quota
        assert max(added, default=0) < min(passed, default=np.inf)


def test_a_cluster_that_keeps_more_than_its_quota_is_refused():
    ids, tasks, clusters, is_reference, vectors, cells, _ = pool(1)
    with pytest.raises(ValueError, match="allocate with what is kept"):
        select_samples(
            ids,
            tasks,
            clusters,
            is_reference,
            vectors,
            cells=cells,
            quotas=np.zeros(len(cells.tasks), dtype=np.int64),
            is_kept=np.ones(len(ids), dtype=np.bool_),
        )
