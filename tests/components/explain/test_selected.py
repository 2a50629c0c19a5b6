import pytest

from components.explain.explanation import explain_sample
from components.explain.find_sample import UnknownSampleError
from components.schemas import DROPPED
from tests.components.strategies.made_runs import run_files, sample_id, selected_tables, selection_row


@pytest.fixture
def explain(tmp_path):
    def explain(name, *rows, strategy="random", dropped_by="instructions/pool"):
        tables = selected_tables(*rows, dropped_by=dropped_by)
        tables.setdefault("instructions/pool/dropped.parquet", DROPPED.empty_table())
        return explain_sample(name, run_files(tmp_path, f"strategy={strategy}", tables=tables))

    return explain


def test_a_draw_from_the_pool_tells_the_chance(explain):
    rows = [selection_row("a", quota=1), selection_row("b", quota=1, copies=0), selection_row("c", quota=1, copies=0)]
    told = explain("rec-b", *rows)
    assert told.status == "passed_over"
    assert "1 samples were drawn from the pool of 3" in told.text()


def test_a_draw_from_a_task_tells_the_chance_in_it(explain):
    other = {**selection_row("c", quota=1), "task": "shape"}
    rows = [selection_row("a", quota=1), selection_row("b", quota=1, copies=0), other]
    assert "1 samples were drawn from the 2 of task color" in explain("rec-a", *rows, strategy="uniform_task").text()


@pytest.mark.parametrize(
    ("strategy", "dropped_by"),
    [("tive", "instructions/pool"), ("tive", "gradients"), ("coincide", "activations")],
)
def test_a_sample_that_another_stage_left_out(explain, strategy, dropped_by):
    told = explain("rec-d", selection_row("a"), strategy=strategy, dropped_by=dropped_by)
    assert told.name == sample_id("d")
    assert told.status == "not_considered"
    assert told.sentence == "It was not considered: truncated (longer than the context)."


def test_a_sample_that_came_later(explain):
    assert "after the last selection" in explain("rec-c", selection_row("a")).sentence


def test_quarantined_and_unknown_names(explain):
    assert "corrupt" in explain("bad").sentence
    with pytest.raises(UnknownSampleError):
        explain("nobody")
