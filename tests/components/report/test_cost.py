"""The page's part about what was sent and paid."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from components import schemas
from components.report.cost import OUTCOMES, Sends, TaskCost, all_sends, purpose_costs
from components.report.inputs import InstructionTable, Purchase, ReportInputs
from components.report.report import build_report
from components.text import dollars
from tests.components.report.html_page import Page
from tests.components.report.synthetic import make_inputs
from tests.components.report.synthetic_pool import draw_image
from tests.components.report.synthetic_purchase import PRICE, bought_by_token


def send(request: str, number: int = 1, outcome: str = "answered", **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("provider", "model", "error", "raw_text"), "")
    row |= {"sample_id": f"color/{request}", "task": "color", "request_id": request, "number": number}
    row |= {"kind": "first", "outcome": outcome, "input_tokens": 0, "output_tokens": 0}
    return {**row, "price_usd": 0.0, "may_cost_usd": 0.0, **changes}


def table_of(*sends: dict[str, Any], origin: str = "reference") -> InstructionTable:
    attempts = pa.Table.from_pylist(list(sends), schema=schemas.ATTEMPT_ROWS)
    return InstructionTable(origin, schemas.INSTRUCTIONS.empty_table(), attempts)


def costs_row(task: str, **changes: float) -> dict[str, Any]:
    return {**dict.fromkeys(schemas.INSTRUCTION_COSTS.names, 0), "task": task, **changes}


def purchase_of(*rows: dict[str, Any], **changes: Any) -> Purchase:
    by_task = pa.Table.from_pylist(list(rows), schema=schemas.INSTRUCTION_COSTS)
    return replace(Purchase(by_task, PRICE, in_batches=False), **changes)


def sends_of(purchase: Purchase | None, *tables: InstructionTable) -> Sends | None:
    return all_sends(replace(make_inputs().costs, purchase=purchase), tables)


def page_of(inputs: ReportInputs) -> str:
    page = build_report(inputs, grid_clusters=0, grid_images=4, image_loader=draw_image)
    return Page(page).words()


def test_the_total_is_the_sum_of_the_tasks():
    rows = (
        costs_row("color", requests=2, attempts=3, input_tokens=1500, estimated_input_tokens=1000, price_usd=1.25),
        costs_row("shape", requests=1, attempts=1, output_tokens=7, estimated_output_tokens=9, estimated_usd=0.5),
    )
    sends = sends_of(purchase_of(*rows), table_of(send("a")))
    assert sends is not None
    assert [row.task for row in sends.tasks] == ["color", "shape"]
    assert sends.total == TaskCost("", 3, 4, 1500, 1000, 7, 9, 1.25, 0.5)
    assert sends.has_tokens


def test_sends_are_counted_by_outcome_each_once_with_their_reasons():
    own = (
        send("a", 1, "unusable", price_usd=0.25, error="too_short: the response of turn 1: 1 word"),
        send("a", 2, "failed", price_usd=0.5, error="not_json: the response is not JSON"),
        send("b", 1, "unusable", price_usd=0.25, error="not_json: the response is not JSON"),
        send("b", 2, "unusable", price_usd=0.25, error="not_json: the response is not JSON"),
        send("b", 3, price_usd=1.0),
        send("c", 1, "lost", may_cost_usd=0.75),
        send("c", 2),
    )
    sends = sends_of(purchase_of(costs_row("color")), table_of(*own), table_of(*own[2:5], origin="random"))
    assert sends is not None
    assert [(row.outcome, row.sends, row.usd, row.at_most_usd, row.reasons) for row in sends.outcomes] == [
        ("answered", 2, 1.0, 0.0, ()),
        ("unusable", 3, 0.75, 0.0, (("not_json", 2), ("too_short", 1))),
        ("lost", 1, 0.0, 0.75, ()),
        ("failed", 1, 0.5, 0.0, (("not_json", 1),)),
    ]


@pytest.mark.parametrize("price", [PRICE, None], ids=["by the token", "free"])
def test_every_outcome_says_what_it_means_and_whether_it_was_charged(price):
    inputs = make_inputs()
    table = table_of(*(send(outcome, outcome=outcome, may_cost_usd=0.5) for outcome in OUTCOMES))
    costs = replace(inputs.costs, purchase=purchase_of(costs_row("color", uncertain_usd=1.5), price=price))
    words = page_of(replace(inputs, instructions=(table,), costs=costs)).split("What became of the sends")[1]
    for outcome, uncertain in OUTCOMES.items():
        assert f"{outcome} 1 {'up to $0.50' if uncertain else '$0.00'} " in words
    said = ("and it was charged.", "and nothing was charged.", "and it may have been charged.")
    assert [words.count(text) for text in said] == ([2, 1, 3] if price else [0, 0, 0])
    assert "Up to $1.50 more may have been charged" in words


@pytest.mark.parametrize(
    ("sends", "shown"),
    [
        ([send("a"), send("b")], False),
        ([send("a"), send("b", 1, "failed", error="no_annotation: none")], True),
        ([send("a", 1, "lost"), send("a", 2)], True),
        ([send("a", 2)], True),
        ([send("a", error="record_left_out: empty_response: why")], True),
    ],
    ids=["answered at once", "failed", "lost", "sent again", "without one of its records"],
)
def test_without_a_price_it_is_there_only_when_something_went_wrong(sends, shown):
    assert (sends_of(purchase_of(costs_row("color"), price=None), table_of(*sends)) is not None) == shown
    assert sends_of(purchase_of(costs_row("color")), table_of(*sends)) is not None


def test_nothing_bought_is_nothing_to_say():
    assert sends_of(None, table_of(send("a"))) is None
    assert sends_of(purchase_of()) is None


def test_the_price_says_its_model_its_date_and_the_batches():
    inputs = make_inputs()
    purchase = purchase_of(costs_row("color"), price=PRICE.model_copy(update={"input_usd": 0.15}), in_batches=True)
    costs = replace(inputs.costs, purchase=purchase)
    words = page_of(replace(inputs, instructions=(table_of(send("a")),), costs=costs))
    assert (
        "Estimated at the price of gpt-4.1-mini as of 2026-06-21: $0.075 per million tokens in and $0.80 out" in words
    )
    assert "out in batches;" in words


def test_failures_are_in_the_price_of_their_purpose():
    table = table_of(send("a", price_usd=1.0, input_tokens=5), send("b", 1, "failed", price_usd=0.5, input_tokens=7))
    (row,) = purpose_costs((table,))
    assert (row.usd, row.input_tokens) == (1.5, 12)


def test_the_page_of_a_run_that_paid_by_the_token():
    inputs = bought_by_token(make_inputs())
    purchase = inputs.costs.purchase
    assert purchase is not None
    words = page_of(inputs)
    for row in purchase.by_task.to_pylist():
        tokens = f"{row['estimated_input_tokens']:,} {row['input_tokens']:,}"
        assert f"{row['task']} {row['requests']} {row['attempts']} {tokens} " in words
    uncertain = sum(purchase.by_task["uncertain_usd"].to_pylist())
    assert f"Up to ${uncertain:.2f} more may have been charged" in words
    each = dollars(inputs.costs.price_per_instruction_usd)
    assert f"{each} per instruction, the mean of those paid." in words
    assert "All tasks" in words
    assert "gpt-4.1-mini as of 2026-06-21" in words


def test_the_page_of_a_run_whose_instructions_all_came_with_the_pool_says_nothing_of_it():
    inputs = make_inputs()
    assert inputs.costs.purchase is None
    existing = replace(inputs.costs, purchase=purchase_of(costs_row("color", requests=3, attempts=3), price=None))
    before, after = page_of(inputs), page_of(replace(inputs, costs=existing))
    assert after == before
    assert "What became of the sends" not in after


def test_reasons_are_escaped():
    hostile = "<b>bold</b>"
    inputs = make_inputs()
    table = table_of(send("a", 1, "failed", error=f"{hostile}: detail"))
    costs = replace(inputs.costs, purchase=purchase_of(costs_row(hostile), price=None))
    inputs = replace(inputs, instructions=(table,), costs=costs)
    page = build_report(inputs, grid_clusters=0, grid_images=4, image_loader=draw_image)
    assert hostile not in page
    assert Page(page).words().count(hostile) == 2
    assert "tokens in" not in Page(page).words(), "none are counted"
