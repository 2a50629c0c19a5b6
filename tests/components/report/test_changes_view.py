import pytest

from components.report.changes_view import ChangesView, changes_view
from components.report.inputs import ReportInputs
from components.report.task_rows import selected_rows, task_rows
from tests.components.report.html_page import Page
from tests.components.report.synthetic import make_inputs
from tests.components.report.synthetic_pool import draw_image
from tests.components.report.synthetic_recuration import GONE, NEW_TASK, make_recurated_inputs
from tests.components.report.test_report import build


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return make_recurated_inputs()


@pytest.fixture(scope="module")
def view(inputs: ReportInputs) -> ChangesView:
    made = changes_view(
        task_rows(inputs), inputs.recuration, inputs.reference, inputs.selection, inputs.costs, inputs.instructions
    )
    assert made is not None
    return made


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_rows_add_up(inputs, view):
    chosen = inputs.reference.num_rows + selected_rows(inputs.selection).num_rows
    assert sum(number(row.kept) + number(row.added) for row in view.rows) == chosen
    assert sum(number(row.now) for row in view.rows) == inputs.samples.num_rows
    assert sum(number(row.before) for row in view.rows) == inputs.recuration.changes.before
    new_task = next(row for row in view.rows if row.task == NEW_TASK)
    assert (new_task.before, new_task.kept) == ("0", "0")


def test_every_gone_sample_has_a_reason(view):
    assert dict(view.gone) == {
        "the file has other bytes now": "2",
        "no longer listed, or listed under another task": str(GONE - 2),
    }
    assert "2 of them files with other bytes than before, 9 are gone" in view.pool[0]
    assert view.pool[1] == f"New: task {NEW_TASK}."


def test_the_cost_of_the_difference_is_that_of_what_was_added(inputs, view):
    added = sum(number(row.added) for row in view.rows)
    assert f"took {added:,} instructions for ${added * inputs.costs.price_per_instruction_usd:,.2f}" in view.cost


def test_the_drift_of_every_task_is_told(view):
    told = {row.task: (row.clusters, row.reason) for row in view.rows}
    assert told["color"] == ("clustered again", "the new images lie 1.31 times as far as the old, p = 0.0002")
    assert told["shape"] == ("kept", "120 new, 1.02 times as far, p 0.400")
    assert told[NEW_TASK] == ("new", "there were no clusters")
    assert next(row.over for row in view.rows if row.task == "caption") == "4"
    assert view.reference_model == f"Tuned again: new task(s): {NEW_TASK}."


def test_the_page_has_the_section_only_after_a_recuration(inputs):
    html = build(inputs, image_loader=draw_image)
    Page(html)
    assert 'id="changes"' in html
    assert 'href="#changes"' in html
    assert "What changed" not in build(make_inputs())
