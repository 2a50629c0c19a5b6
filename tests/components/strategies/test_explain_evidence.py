import functools

import numpy as np
import pyarrow as pa
import pytest

from components.schemas import (
    CHOSEN,
    CONCEPT_SHARES,
    CONCEPTS,
    DIFFICULTY,
    DROPPED,
    INFLUENCE,
    QUARANTINE,
    SAMPLES,
    SELECTION,
)
from components.strategies.explain import explanation_text
from components.strategies.explain_evidence import (
    SelectionTables,
    coincide_facts,
    control_facts,
    explain_selected,
    tive_facts,
)
from components.strategies.find_sample import UnknownSampleError


def sample_id(name):
    return f"color/{name * 20}"


def selection_row(name, *, cluster=-1, score=0.5, rank=1, quota=2, copies=1, reason="picked: so"):
    picked = copies > 0
    return {
        "sample_id": sample_id(name),
        "task": "color",
        "image_sha": name * 64,
        "cluster": cluster,
        "is_reference": False,
        "score": score,
        "rank": rank,
        "quota": quota,
        "picked": picked,
        "copies": copies,
        "reason": reason,
    }


def tables(rows):
    samples = [
        {"sample_id": sample_id(n), "task": "color", "image_sha": n * 64, "uri": f"{n}.png", "record_ids": [f"rec-{n}"],
         "source": "pool.json", "near_duplicate_of": ""}
        for n in "abcd"
    ]  # fmt: skip
    dropped = [{"sample_id": sample_id("d"), "reason": "truncated", "detail": "longer than the context"}]
    quarantine = [{"source": "p", "record_id": "bad", "image": "x.png", "reason": "corrupt", "detail": "ends early"}]
    return SelectionTables(
        samples=pa.Table.from_pylist(samples, schema=SAMPLES),
        quarantine=pa.Table.from_pylist(quarantine, schema=QUARANTINE),
        selection=pa.Table.from_pylist(rows, schema=SELECTION),
        dropped=pa.Table.from_pylist(dropped, schema=DROPPED),
    )


def tive(rows):
    influence = [
        {"sample_id": sample_id(n), "task": "color", "image_sha": n * 64, "gradient_norm": 1.5, "influence": 0.25,
         "probability": 0.5}
        for n in "abc"
    ]  # fmt: skip
    difficulty = [
        {"task": "color", "samples": 3, "difficulty": 1.5, "share": 0.4, "quota": 2, "uniform_distance": 0.1},
        {"task": "shape", "samples": 3, "difficulty": 2.5, "share": 0.6, "quota": 3, "uniform_distance": 0.1},
    ]
    warm_up = [{"sample_id": sample_id("a"), "task": "color", "image_sha": "a" * 64}]
    return functools.partial(
        tive_facts,
        influence=pa.Table.from_pylist(influence, schema=INFLUENCE),
        difficulty=pa.Table.from_pylist(difficulty, schema=DIFFICULTY),
        warm_up=pa.Table.from_pylist(warm_up, schema=CHOSEN),
    )


def test_tive_tells_difficulty_influence_and_probability():
    rows = [selection_row("a", copies=2, reason="drawn, and repeated 2 times"), selection_row("b", copies=0, rank=3)]
    text = explanation_text(explain_selected("rec-a", tables(rows), facts_of=tive(rows)))
    assert text.startswith("It was drawn, and repeated 2 times.")
    assert "1.5000, number 2 of 2 tasks" in text
    assert "40.0% of the budget, 2 of 3 samples" in text
    assert "0.2500, number 1 of 3 in the task" in text
    assert "1.5000 times that of a uniform draw" in text
    assert "trained on 2 times" in text
    assert "warm-up set" in text
    other = explanation_text(explain_selected("rec-b", tables(rows), facts_of=tive(rows)))
    assert "warm-up" not in other
    assert "trained on" not in other


def test_coincide_tells_the_cluster_and_the_nearest_pick():
    rows = [
        selection_row("a", cluster=1, quota=1),
        selection_row("b", cluster=1, quota=1, copies=0, rank=0, score=0.75, reason="passed over: why"),
        selection_row("c", cluster=0, quota=1),
    ]
    concepts = [
        {"sample_id": sample_id(n), "task": "color", "image_sha": n * 64, "cluster": c, "similarity": 0.875}
        for n, c in zip("abc", (1, 1, 0), strict=True)
    ]
    shares = [
        {"cluster": 0, "size": 1, "transferability": 0.1, "density": 1.0, "share": 0.25, "quota": 1},
        {"cluster": 1, "size": 2, "transferability": 0.5, "density": 0.5, "share": 0.75, "quota": 1},
    ]
    vectors = {sample_id("a"): [1.0, 0.0], sample_id("b"): [0.6, 0.8], sample_id("c"): [0.0, 1.0]}
    facts = functools.partial(
        coincide_facts,
        concepts=pa.Table.from_pylist(concepts, schema=CONCEPTS),
        shares=pa.Table.from_pylist(shares, schema=CONCEPT_SHARES),
        selection=pa.Table.from_pylist(rows, schema=SELECTION),
        read_features=lambda ids: np.array([vectors[one] for one in ids], dtype=np.float32),
    )
    text = explanation_text(explain_selected("rec-b", tables(rows), facts_of=facts))
    assert text.startswith("It was passed over: why.")
    assert "1 of the pool: 2 samples of all tasks, 1 to pick" in text
    assert "75.00% of the budget, number 1 of 2 clusters" in text
    assert "cosine 0.8750" in text
    assert "0.7500" in text
    assert "not among them" in text
    assert f"{sample_id('a')}, cosine of activations 0.6000" in text, "the nearest pick of the same cluster"
    alone = explanation_text(explain_selected("rec-c", tables(rows), facts_of=facts))
    assert "nearest pick" not in alone
    assert "number 1 of 1" in alone


def test_a_control_tells_the_chance():
    rows = [selection_row("a", quota=1), selection_row("b", quota=1, copies=0), selection_row("c", quota=1, copies=0)]
    facts = functools.partial(control_facts, selection=pa.Table.from_pylist(rows, schema=SELECTION))
    assert "1 samples were drawn from the pool of 3" in explanation_text(
        explain_selected("rec-b", tables(rows), facts_of=facts)
    )


def test_a_sample_that_another_stage_left_out():
    told = explain_selected("rec-d", tables([selection_row("a")]), facts_of=lambda _row: ())
    assert told.status == "not_considered"
    assert told.sentence == "It was not considered: truncated (longer than the context)."
    later = explain_selected("rec-c", tables([selection_row("a")]), facts_of=lambda _row: ())
    assert "after the last selection" in later.sentence


def test_quarantined_and_unknown_names():
    assert "corrupt" in explain_selected("bad", tables([]), facts_of=lambda _row: ()).sentence
    with pytest.raises(UnknownSampleError):
        explain_selected("nobody", tables([]), facts_of=lambda _row: ())
