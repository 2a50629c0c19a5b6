import pyarrow as pa
import pytest

from components.explain.explanation import explain_sample
from components.schemas import CHOSEN, DIFFICULTY, INFLUENCE
from tests.components.strategies.made_runs import run_files, sample_id, selected_tables, selection_row


@pytest.fixture
def run(tmp_path):
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
    rows = [
        selection_row("a", copies=2, reason="drawn, and repeated 2 times"),
        selection_row("b", copies=0, rank=3),
    ]
    tables = {
        **selected_tables(*rows),
        "influence/influence.parquet": pa.Table.from_pylist(influence, schema=INFLUENCE),
        "influence/difficulty.parquet": pa.Table.from_pylist(difficulty, schema=DIFFICULTY),
        "warm_up/warm_up.parquet": pa.Table.from_pylist(warm_up, schema=CHOSEN),
    }
    return run_files(tmp_path, "strategy=tive", tables=tables)


def test_difficulty_influence_and_probability_are_told(run):
    text = explain_sample("rec-a", run).text()
    assert text.startswith("It was drawn, and repeated 2 times.")
    assert "1.5000, number 2 of 2 tasks" in text
    assert "40.0% of the budget, 2 of 3 samples" in text
    assert "0.2500, number 1 of 3 in the task" in text
    assert "1.5000 times that of a uniform draw" in text
    assert "trained on 2 times" in text
    assert "warm-up set" in text


def test_what_is_not_so_is_not_told(run):
    other = explain_sample("rec-b", run).text()
    assert "warm-up" not in other
    assert "trained on" not in other
