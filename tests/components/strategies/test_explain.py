import numpy as np
import pyarrow as pa
import pytest

from components.schemas import ALLOCATION, DROPPED, IMPORTANCE, QUARANTINE, SAMPLES, SELECTION
from components.strategies.explain import CurationTables, explain_sample, explanation_text
from components.strategies.find_sample import UnknownSampleError

# color: a reference, b picked, c passed over (cluster 0); d passed over (cluster 1, no quota); e without vector.
# shape: f picked. The record "shared" names two samples.
VECTORS = {
    "a": [1.0, 0.0],
    "b": [0.8, 0.6],
    "c": [0.6, 0.8],
    "d": [-1.0, 0.0],
    "f": [0.0, 1.0],
}


def sha(name: str) -> str:
    return (name * 64)[:64]


def samples() -> pa.Table:
    rows = [
        {
            "sample_id": f"{task}/{sha(name)[:20]}",
            "task": task,
            "image_sha": sha(name),
            "uri": f"images/{name}.png",
            "source": "pool.json",
            "record_ids": [f"rec-{name}", *(["shared"] if name in "cf" else [])],
            "near_duplicate_of": sha("b") if name == "c" else "",
        }
        for name, task in [(*pair,) for pair in zip("abcdef", ["color"] * 5 + ["shape"], strict=True)]
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def selection_row(name, task, cluster, centrality, rank, quota, *, picked=False, reference=False, reason="-"):
    return {
        "sample_id": f"{task}/{sha(name)[:20]}",
        "task": task,
        "image_sha": sha(name),
        "cluster": cluster,
        "is_reference": reference,
        "score": centrality,
        "rank": rank,
        "quota": quota,
        "picked": picked,
        "copies": int(picked),
        "reason": reason,
    }


@pytest.fixture
def tables() -> CurationTables:
    selection = [
        selection_row("a", "color", 0, float("nan"), 0, 1, reference=True),
        selection_row("b", "color", 0, 0.96, 1, 1, picked=True),
        selection_row("c", "color", 0, 0.9, 2, 1),
        selection_row("d", "color", 1, 0.0, 1, 0),
        selection_row("f", "shape", 0, 0.0, 2, 1, picked=True, reason="picked at random to use up the budget"),
    ]
    allocation = [
        {"task": "color", "cluster": 0, "size": 3, "available": 2, "share": 1.2, "quota": 1},
        {"task": "color", "cluster": 1, "size": 1, "available": 1, "share": 0.25, "quota": 0},
        {"task": "shape", "cluster": 0, "size": 1, "available": 1, "share": 0.6, "quota": 1},
    ]
    importance = [
        {"task": "color", "samples": 5, "score": 0.9, "weight": 0.4},
        {"task": "shape", "samples": 5, "score": 0.7, "weight": 0.6},
    ]
    quarantine = [
        {"source": "pool.json", "record_id": "bad", "image": "x.png", "reason": "corrupt", "detail": "ends early"}
    ]
    dropped = [{"sample_id": sha("e"), "reason": "not_finite", "detail": "NaN in the vector"}]
    return CurationTables(
        samples=samples(),
        quarantine=pa.Table.from_pylist(quarantine, schema=QUARANTINE),
        selection=pa.Table.from_pylist(selection, schema=SELECTION),
        importance=pa.Table.from_pylist(importance, schema=IMPORTANCE),
        allocation=pa.Table.from_pylist(allocation, schema=ALLOCATION),
        vectors_dropped=pa.Table.from_pylist(dropped, schema=DROPPED),
    )


def read_vectors(image_shas):
    return np.array([VECTORS[image_sha[0]] for image_sha in image_shas], dtype=np.float32)


def explain(tables, name):
    return explain_sample(name, tables, read_vectors=read_vectors)


def test_a_sample_that_was_passed_over(tables):
    told = explain(tables, "rec-c")
    assert told.name == f"color/{sha('c')[:20]}"
    assert told.status == "passed_over"
    assert told.sentence == (
        "It was not picked: it is number 2 of 2 available images by centrality, and its cluster was given 1."
    )
    assert told.importance is not None
    assert (told.importance.rank, told.importance.tasks, told.importance.weight) == (2, 2, 0.4)
    assert told.cluster is not None
    assert (told.cluster.size, told.cluster.available, told.cluster.quota) == (3, 2, 1)
    assert (told.cluster.centrality, told.cluster.rank) == (0.9, 2)
    assert told.neighbour is not None
    assert told.neighbour.sample_id == f"color/{sha('b')[:20]}"
    assert told.neighbour.cosine == pytest.approx(0.8 * 0.6 + 0.6 * 0.8)
    assert told.neighbour.same_cluster
    assert told.near_duplicate_of == sha("b")


def test_a_pick_is_not_its_own_neighbour(tables):
    told = explain(tables, "rec-b")
    assert told.status == "picked"
    assert told.neighbour is None  # the only pick of its task
    assert "It was picked: it is number 1 of 2" in told.sentence


def test_a_reference_image_has_no_rank(tables):
    told = explain(tables, "rec-a")
    assert told.status == "reference"
    assert "reference set" in told.sentence
    assert told.cluster is not None
    assert told.cluster.rank is told.cluster.centrality is None


def test_a_cluster_without_a_pick(tables):
    told = explain(tables, "rec-d")
    assert "share of 0.25 images" in told.sentence
    assert told.neighbour is not None
    assert told.neighbour.cosine == pytest.approx(-0.8)
    assert not told.neighbour.same_cluster


def test_a_pick_beyond_its_rank_tells_the_reason_of_the_table(tables):
    assert "at random to use up the budget" in explain(tables, "rec-f").sentence


def test_an_image_without_a_vector(tables):
    told = explain(tables, "rec-e")
    assert told.status == "without_vector"
    assert "not_finite" in told.sentence
    assert told.importance is not None
    assert told.cluster is None


@pytest.mark.parametrize("name", ["bad", "x.png"])
def test_a_quarantined_record(tables, name):
    told = explain(tables, name)
    assert (told.name, told.status) == ("bad", "quarantined")
    assert "corrupt (ends early)" in told.sentence


@pytest.mark.parametrize("name", [f"color/{sha('c')[:20]}", "rec-c", "images/c.png", "c.png", "cccccccccc", "CCCCCCCC"])
def test_ways_to_name_a_sample(tables, name):
    assert explain(tables, name).uri == "images/c.png"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rec-x", "did you mean rec-"),
        ("rec_c", "rec-c"),
        ("color/ccc", f"did you mean color/{sha('c')[:20]}"),
        ("something else entirely", "nothing has a similar name"),
        ("shared", r"names 2 samples; give one of color/c+, shape/f+"),
        ("", "no sample"),
    ],
)
def test_a_name_that_is_unknown_or_ambiguous(tables, name, message):
    with pytest.raises(UnknownSampleError, match=message):
        explain(tables, name)


@pytest.mark.parametrize("name", ["rec-a", "rec-b", "rec-c", "rec-d", "rec-e", "rec-f", "bad"])
def test_the_text_says_what_the_record_says(tables, name):
    told = explain(tables, name)
    text = explanation_text(told)
    assert text.startswith(told.sentence)
    assert told.name in text
    if told.importance is not None:
        assert f"number {told.importance.rank} of 2 tasks" in text
    if told.cluster is not None and told.cluster.centrality is not None:
        assert f"{told.cluster.centrality:.4f}" in text
    if told.neighbour is not None:
        assert f"{told.neighbour.cosine:.4f}" in text
    assert ("near copy" in text) == bool(told.near_duplicate_of)
    assert "None" not in text
    assert "nan" not in text


def test_tables_of_different_runs_are_refused(tables):
    import dataclasses

    other = dataclasses.replace(tables, allocation=tables.allocation.slice(1))
    with pytest.raises(ValueError, match="different runs"):
        explain(other, "rec-c")
