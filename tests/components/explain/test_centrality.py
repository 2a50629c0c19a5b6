import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.explain import centrality
from components.explain.explanation import explain_sample
from components.explain.find_sample import UnknownSampleError
from components.parameters.parameters import ParameterError
from components.schemas import ALLOCATION, DROPPED, IMPORTANCE, QUARANTINE, SAMPLES, SELECTION
from tests.components.strategies.made_runs import run_files

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
def tables():
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
    return {
        "manifest/samples.parquet": samples(),
        "manifest/quarantine.parquet": pa.Table.from_pylist(quarantine, schema=QUARANTINE),
        "selection/selection.parquet": pa.Table.from_pylist(selection, schema=SELECTION),
        "scores/importance.parquet": pa.Table.from_pylist(importance, schema=IMPORTANCE),
        "allocation/allocation.parquet": pa.Table.from_pylist(allocation, schema=ALLOCATION),
        "vectors/dropped.parquet": pa.Table.from_pylist(dropped, schema=DROPPED),
    }


@pytest.fixture
def explain(tables, tmp_path, monkeypatch):
    def read_vectors(_store, image_shas, *, model):
        assert model
        return np.array([VECTORS[image_sha[0]] for image_sha in image_shas], dtype=np.float32)

    monkeypatch.setattr(centrality, "read_vectors", read_vectors)
    return lambda name, strategy="presel": explain_sample(
        name, run_files(tmp_path, f"strategy={strategy}", tables=tables)
    )


def known(told):
    return {fact.label: fact.text for fact in told.facts}


def test_a_sample_that_was_passed_over(explain):
    told = explain("rec-c")
    assert told.name == f"color/{sha('c')[:20]}"
    assert told.status == "passed_over"
    assert told.sentence == (
        "It was not picked: it is number 2 of 2 available images by centrality, and its cluster was given 1."
    )
    assert known(told) == {
        "importance": "40.0% of the budget, number 2 of 2 tasks (mean instruction relevance score 0.9000, lower is "
        "more important)",
        "cluster": "0 of the task: 3 images, 2 outside the reference set, 1 to pick",
        "centrality": "0.9000, rank 2 of 2",
        "nearest pick": f"color/{sha('b')[:20]} (images/b.png), cosine 0.9600, in the same cluster",
    }
    assert told.near_duplicate_of == sha("b")


def test_without_task_importance_there_is_no_word_of_it(explain, tables):
    selection = tables["selection/selection.parquet"]
    tables["selection/selection.parquet"] = selection.filter(pc.invert(selection["is_reference"]))
    del tables["scores/importance.parquet"]
    told = explain("rec-c", "size_balanced")
    assert list(known(told)) == ["cluster", "centrality", "nearest pick"]
    assert known(told)["cluster"] == "0 of the task: 3 images, 1 to pick"


def test_a_pick_is_not_its_own_neighbour(explain):
    told = explain("rec-b")
    assert told.status == "picked"
    assert "nearest pick" not in known(told)  # the only pick of its task
    assert "It was picked: it is number 1 of 2" in told.sentence


def test_a_reference_image_has_no_rank(explain):
    told = explain("rec-a")
    assert told.status == "reference"
    assert "reference set" in told.sentence
    assert "cluster" in known(told)
    assert "centrality" not in known(told)


def test_a_cluster_without_a_pick(explain):
    told = explain("rec-d")
    assert "share of 0.25 images" in told.sentence
    assert known(told)["nearest pick"].endswith("cosine -0.8000, in another cluster of the task")


def test_a_pick_beyond_its_rank_tells_the_reason_of_the_table(explain):
    assert "at random to use up the budget" in explain("rec-f").sentence


def test_an_image_without_a_vector(explain):
    told = explain("rec-e")
    assert told.status == "not_considered"
    assert "has no vector: not_finite (NaN in the vector)" in told.sentence
    assert list(known(told)) == ["importance"]


@pytest.mark.parametrize("name", ["bad", "x.png"])
def test_a_quarantined_record(explain, name):
    told = explain(name)
    assert (told.name, told.status) == ("bad", "quarantined")
    assert "corrupt (ends early)" in told.sentence


@pytest.mark.parametrize("name", [f"color/{sha('c')[:20]}", "rec-c", "images/c.png", "c.png", "cccccccccc", "CCCCCCCC"])
def test_ways_to_name_a_sample(explain, name):
    assert explain(name).uri == "images/c.png"


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
def test_a_name_that_is_unknown_or_ambiguous(explain, name, message):
    with pytest.raises(UnknownSampleError, match=message):
        explain(name)


@pytest.mark.parametrize("name", ["rec-a", "rec-b", "rec-c", "rec-d", "rec-e", "rec-f", "bad"])
def test_the_text_says_what_the_record_says(explain, name):
    told = explain(name)
    text = told.text()
    assert text.startswith(told.sentence)
    assert told.name in text
    for fact in told.facts:
        assert f"\n{fact.label}" in text
        assert fact.text in text
    assert ("near copy" in text) == bool(told.near_duplicate_of)
    assert "None" not in text
    assert "nan" not in text


def test_tables_of_different_runs_are_refused(explain, tables):
    tables["allocation/allocation.parquet"] = tables["allocation/allocation.parquet"].slice(1)
    with pytest.raises(ValueError, match="different runs"):
        explain("rec-c")


def test_a_run_that_has_not_selected_yet_is_told_to(explain, tables):
    del tables["selection/selection.parquet"]
    with pytest.raises(ParameterError, match=r"no .*selection/selection.parquet yet; run `presel run` first"):
        explain("rec-c")
