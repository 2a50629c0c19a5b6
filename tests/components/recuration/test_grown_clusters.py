import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.compute.local import LocalEngine
from components.parameters.parameters import RecurateParameters
from components.recuration.grown_clusters import (
    AGAIN,
    KEPT,
    NEW,
    ClusterOptions,
    cluster_grown_pool,
    no_clusters,
    read_clusters,
    write_clusters,
)
from components.schemas import SAMPLES
from components.selection.by_task import tasks_of
from components.selection.cluster_tasks import TaskVectors, cluster_task, join_clusters
from components.selection.clustering import assign_to_centroids
from tests.shuffled_engine import ShuffledEngine

LIMITS = RecurateParameters(retune_share=0.2, drift_ratio=1.1, recluster_growth=1.5)
OPTIONS = ClusterOptions(images_per_cluster=20, seed=3, encoder="sha256:a")


class Pool:
    """Samples of drawn vectors, looked up by image; counts what is read."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.vectors = {}
        self.rows = []
        self.read = 0

    def add(self, task, count, *, shift=0.0):
        centres = np.random.default_rng(len(task)).standard_normal((3, 8))
        for vector in centres[self.rng.integers(3, size=count)] + 0.2 * self.rng.standard_normal((count, 8)):
            sha = f"{len(self.vectors):064x}"
            vector[0] += shift
            self.vectors[sha] = vector.astype(np.float32)
            self.rows.append({"sample_id": f"{task}/{sha[-20:]}", "task": task, "image_sha": sha, "uri": sha})
        return self

    def drop(self, count):
        self.rows = self.rows[count:]
        return self

    @property
    def samples(self):
        full = [{"source": "", "record_ids": [], "near_duplicate_of": "", **row} for row in self.rows]
        return pa.Table.from_pylist(full, schema=SAMPLES).sort_by("sample_id")

    def load(self, shas):
        self.read += len(shas)
        return np.stack([self.vectors[sha] for sha in shas])

    def cluster(self, earlier=None, options=OPTIONS, limits=LIMITS, load=None, engine=None):
        self.read = 0
        return cluster_grown_pool(
            self.samples,
            load or self.load,
            earlier or no_clusters(),
            options=options,
            limits=limits,
            engine=engine or LocalEngine(),
        )


@pytest.fixture
def pool():
    return Pool().add("cat", 60).add("horse", 45)


def verdicts(result):
    return dict(zip(result.tasks["task"].to_pylist(), result.tasks["verdict"].to_pylist(), strict=True))


def reason(result, task):
    return result.tasks.filter(pc.equal(result.tasks["task"], task))["reason"][0].as_py()


def test_from_nothing_it_is_the_clustering_of_every_task(pool):
    result = pool.cluster()
    plain = join_clusters(
        cluster_task(
            TaskVectors(task, members, pool.load(members["image_sha"].to_pylist())), images_per_cluster=20, seed=3
        )
        for task, members in tasks_of(pool.samples)
    )
    assert result.pool.clusters.equals(plain.clusters)
    assert result.pool.centroids.equals(plain.centroids)
    assert verdicts(result) == {"cat": NEW, "horse": NEW}
    assert result.assigned.num_rows == 0


def test_elsewhere_the_clusters_are_the_same(pool):
    first = pool.cluster(engine=ShuffledEngine())
    pool.add("cat", 60, shift=3.0).add("horse", 5).add("mouse", 30)
    here, there = pool.cluster(first), pool.cluster(first, engine=ShuffledEngine())
    assert verdicts(here) == {"cat": AGAIN, "horse": KEPT, "mouse": NEW}
    assert (there.pool.clusters, there.pool.centroids) == (here.pool.clusters, here.pool.centroids)
    assert there.assigned == here.assigned
    assert repr(there.tasks.to_pylist()) == repr(here.tasks.to_pylist())  # NaN among the numbers


def test_on_this_machine_one_tasks_vectors_are_in_memory_at_a_time(pool):
    read: list[weakref.ref[Any]] = []

    def load(shas):
        assert all(one() is None for one in read)
        vectors = pool.load(shas)
        read.append(weakref.ref(vectors))
        return vectors

    pool.cluster(load=load)
    assert len(read) == 2


def test_an_unchanged_pool_keeps_everything_and_reads_no_vector(pool):
    first = pool.cluster()
    again = pool.cluster(first)
    assert pool.read == 0
    assert again.pool.clusters.equals(first.pool.clusters)
    assert again.pool.centroids.equals(first.pool.centroids)
    assert set(verdicts(again).values()) == {KEPT}


def test_new_images_go_to_the_nearest_centroid(pool):
    first = pool.cluster()
    before = first.pool.clusters["sample_id"].to_pylist()
    pool.add("cat", 10)
    second = pool.cluster(first)
    assert pool.read == 10, "only the vectors of new images are read"
    assert verdicts(second) == {"cat": KEPT, "horse": KEPT}
    assert second.pool.centroids.equals(first.pool.centroids)
    old = second.pool.clusters.filter(pc.is_in(second.pool.clusters["sample_id"], value_set=pa.array(before)))
    assert old.equals(first.pool.clusters)
    new = second.pool.clusters.filter(
        pc.invert(pc.is_in(second.pool.clusters["sample_id"], value_set=pa.array(before)))
    )
    assert new["sample_id"].to_pylist() == second.assigned["sample_id"].to_pylist()
    rows = first.pool.centroids.filter(pc.equal(first.pool.centroids["task"], "cat"))
    labels, distances = assign_to_centroids(
        pool.load(new["image_sha"].to_pylist()), np.array(rows["centroid"].to_pylist(), dtype=np.float32)
    )
    assert new["cluster"].to_pylist() == labels.tolist()
    assert new["distance"].to_pylist() == distances.tolist()


def test_a_new_task_is_clustered_and_changes_no_other(pool):
    first = pool.cluster()
    pool.add("elephant", 30)
    second = pool.cluster(first)
    assert verdicts(second) == {"cat": KEPT, "horse": KEPT, "elephant": NEW}
    assert second.pool.clusters.filter(pc.not_equal(second.pool.clusters["task"], "elephant")).equals(
        first.pool.clusters
    )


def test_drifted_images_make_their_task_cluster_again(pool):
    first = pool.cluster()
    pool.add("cat", 20, shift=3.0)
    second = pool.cluster(first)
    assert verdicts(second) == {"cat": AGAIN, "horse": KEPT}
    assert "times as far as the old" in reason(second, "cat")
    row = second.tasks.to_pylist()[0]
    assert row["ratio"] > 1.1
    assert row["p_value"] < 0.01
    assert (row["old_images"], row["new_images"], row["fitted"]) == (60, 20, 80)
    assert second.assigned.num_rows == 0


def test_slow_drift_adds_up_over_recurations(pool):
    # Each wave alone is too small to prove anything.
    strict = LIMITS.model_copy(update={"recluster_growth": 10.0, "drift_ratio": 1.1})
    result, seen = pool.cluster(), []
    for _ in range(8):
        pool.add("cat", 4, shift=1.2)
        result = pool.cluster(result, limits=strict)
        seen.append(verdicts(result)["cat"])
    assert seen[0] == KEPT
    assert AGAIN in seen


def test_growth_makes_a_task_cluster_again(pool):
    first = pool.cluster()
    pool.add("cat", 20)  # 80 images ask for 4 clusters instead of 3
    assert verdicts(pool.cluster(first))["cat"] == KEPT
    pool.add("cat", 20)  # 100 ask for 5
    second = pool.cluster(first)
    assert verdicts(second)["cat"] == AGAIN
    assert "5 clusters instead of 3" in reason(second, "cat")


def test_growth_counts_from_when_the_clusters_were_made(pool):
    result = pool.cluster()
    for _ in range(4):
        pool.add("cat", 10)
        result = pool.cluster(result)
    assert result.pool.clusters.filter(pc.equal(result.pool.clusters["task"], "cat")).num_rows == 100
    assert verdicts(result)["cat"] == AGAIN


def test_another_encoder_or_cluster_size_makes_all_cluster_again(pool):
    first = pool.cluster()
    other = pool.cluster(first, replace(OPTIONS, encoder="sha256:b"))
    assert (set(verdicts(other).values()), reason(other, "cat")) == ({AGAIN}, "the encoder is another one")
    finer = pool.cluster(first, replace(OPTIONS, images_per_cluster=10))
    assert set(verdicts(finer).values()) == {AGAIN}
    assert finer.pool.centroids.num_rows > first.pool.centroids.num_rows


def test_images_that_left_the_pool_are_in_no_cluster(pool):
    first = pool.cluster()
    second = pool.drop(7).cluster(first)
    assert second.pool.clusters["sample_id"].to_pylist() == pool.samples["sample_id"].to_pylist()
    assert set(verdicts(second).values()) == {KEPT}
    assert second.tasks.to_pylist()[0]["old_images"] == 53


def test_they_are_read_as_they_were_written(pool, tmp_path):
    first = pool.cluster()
    write_clusters(tmp_path, first)
    again = read_clusters(tmp_path)
    assert again.pool.clusters.equals(first.pool.clusters)
    assert again.tasks.to_pylist()[0]["verdict"] == NEW
    assert pool.cluster(again).pool.clusters.equals(first.pool.clusters)
