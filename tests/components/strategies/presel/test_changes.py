"""The section on what changed since the curation before."""

from dataclasses import replace

import pyarrow as pa
import pytest

from components import schemas
from components.report.inputs import ReportInputs
from components.report.task_rows import selected_rows, task_rows
from components.strategies.presel.changes import Changes, Recuration, changes
from components.strategies.presel.report import PreselEvidence
from tests.components.report.html_page import Page
from tests.components.report.synthetic import make_inputs
from tests.components.report.synthetic_recuration import GONE, NEW_TASK, make_recurated_inputs
from tests.components.report.test_report import build


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return make_recurated_inputs()


@pytest.fixture(scope="module")
def recuration(inputs: ReportInputs) -> Recuration:
    assert isinstance(inputs.evidence, PreselEvidence)
    assert inputs.evidence.recuration is not None
    return inputs.evidence.recuration


@pytest.fixture(scope="module")
def found(inputs: ReportInputs, recuration: Recuration) -> Changes:
    return changes(recuration, inputs, task_rows(inputs))


@pytest.fixture(scope="module")
def words(inputs: ReportInputs) -> str:
    return Page(build(inputs)).words()


def test_the_rows_add_up(inputs, recuration, found):
    chosen = inputs.reference.num_rows + selected_rows(inputs.selection).num_rows
    assert sum(task.kept + task.added for task in found.tasks) == found.kept + found.added == chosen
    assert found.kept + found.lost == found.before
    assert sum(task.row.samples for task in found.tasks) == inputs.samples.num_rows
    assert sum(task.before for task in found.tasks) == recuration.changes.before
    new_task = next(task for task in found.tasks if task.row.task == NEW_TASK)
    assert (new_task.before, new_task.kept) == (0, 0)
    assert {task.row.task: task.over for task in found.tasks if task.over} == {"caption": found.over} == {"caption": 4}


def test_every_gone_sample_has_a_reason(found, words):
    reasons = {item.reason: item.count for item in found.pool.gone_reasons}
    assert reasons == {
        "the file has other bytes now": 2,
        "no longer listed, or listed under another task": GONE - 2,
    }
    for reason, number in reasons.items():
        assert f"{reason} {number}" in words
    assert "2 of them files with other bytes than before, 9 are gone" in words
    assert f"New: task {NEW_TASK}." in words


def test_the_cost_of_the_difference_is_that_of_what_was_added(inputs, found, words):
    assert found.bought == found.added
    assert found.spent_usd == pytest.approx(found.added * inputs.costs.price_per_instruction_usd)
    assert f"took {found.bought:,} instructions for ${found.spent_usd:,.2f}" in words


def test_the_drift_of_every_task_is_told(words):
    assert "clustered again the new images lie 1.31 times as far as the old, p = 0.0002" in words
    assert "kept 120 new, 1.02 times as far, p 0.400" in words
    assert "new there were no clusters" in words
    assert f"Tuned again: new task(s): {NEW_TASK}." in words


def test_the_page_has_the_section_only_after_a_recuration(inputs):
    html = build(inputs)
    Page(html)
    assert 'id="changes"' in html
    assert 'href="#changes"' in html
    assert "What changed" not in build(make_inputs())


def test_what_became_of_earlier_picks_is_told(inputs, recuration):
    """One is gone from the pool, two joined the reference set."""
    columns = schemas.SELECTION.names
    earlier = [
        dict.fromkeys(columns) | {"sample_id": sample_id, "picked": True, "is_reference": False}
        for sample_id in (recuration.changes.gone[0], *inputs.reference["sample_id"].to_pylist()[:2])
    ]
    changed = replace(
        recuration,
        earlier_reference=schemas.CHOSEN.empty_table(),
        earlier_selection=pa.Table.from_pylist(earlier, schema=schemas.SELECTION),
    )
    found = changes(changed, inputs, task_rows(inputs))
    assert (found.before, found.kept, found.lost, found.moved) == (3, 2, 1, 2)
    words = Page(build(replace(inputs, evidence=replace(inputs.evidence, recuration=changed)))).words()
    assert "are added. 1 belong to images that left the pool and are used no longer. 2 earlier picks joined" in words
    assert "with their instruction, which costs nothing. 4 kept images more than" in words
