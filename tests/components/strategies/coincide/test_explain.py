import numpy as np
import pyarrow as pa
import pytest

from components.explain.explanation import explain_sample
from components.schemas import CONCEPT_SHARES, CONCEPTS
from components.strategies.coincide import explain as module
from tests.components.strategies.made_runs import run_files, sample_id, selected_tables, selection_row


@pytest.fixture
def run(tmp_path, monkeypatch):
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
    monkeypatch.setattr(
        module, "read_features", lambda _store, ids: np.array([vectors[one] for one in ids], dtype=np.float32)
    )
    tables = {
        **selected_tables(*rows),
        "concepts/concepts.parquet": pa.Table.from_pylist(concepts, schema=CONCEPTS),
        "concept_shares/shares.parquet": pa.Table.from_pylist(shares, schema=CONCEPT_SHARES),
    }
    return run_files(tmp_path, "strategy=coincide", tables=tables)


def test_the_cluster_and_the_nearest_pick_are_told(run):
    text = explain_sample("rec-b", run).text()
    assert text.startswith("It was passed over: why.")
    assert "1 of the pool: 2 samples of all tasks, 1 to pick" in text
    assert "75.00% of the budget, number 1 of 2 clusters" in text
    assert "cosine 0.8750" in text
    assert "0.7500" in text
    assert "not among them" in text
    assert f"{sample_id('a')}, cosine of activations 0.6000" in text, "the nearest pick of the same cluster"


def test_the_only_pick_of_a_cluster_has_no_nearest(run):
    alone = explain_sample("rec-c", run).text()
    assert "nearest pick" not in alone
    assert "number 1 of 1" in alone
