"""What instructions came to, against hand numbers."""

from typing import Any

import pyarrow as pa
import pytest

from components.instructions.spending.costs import (
    ControlCosts,
    control_costs,
    cost_lines,
    distinct_sends,
    paid_costs,
    purchase_costs,
)
from components.instructions.spending.prices import UnknownPriceError
from components.schemas import ATTEMPT_ROWS, IMAGES, INSTRUCTIONS, SAMPLES
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, write_template

EXISTING = instruction_parameters(provider="existing", price_per_instruction_usd=0.25)
BY_TOKEN = instruction_parameters(provider="openai", model="test-model")
PURCHASE = purchase_parameters(prices=[PRICE])


def attempts_of(*rows: tuple[str, int, str, float]) -> pa.Table:
    """Of (request, number, outcome, dollars); a request is the sample's of the same name, `TASK/...`."""
    return pa.Table.from_pylist(
        [
            {
                **dict.fromkeys(("kind", "provider", "model", "error", "raw_text"), ""),
                "sample_id": request,
                "task": request.partition("/")[0],
                "request_id": request,
                "number": number,
                "outcome": outcome,
                "input_tokens": 100,
                "output_tokens": 10,
                "price_usd": price,
                "may_cost_usd": 2.0,
            }
            for request, number, outcome, price in rows
        ],
        schema=ATTEMPT_ROWS,
    )


def instructions_of(*requests: str) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {**dict.fromkeys(INSTRUCTIONS.names), "sample_id": name, "request_id": name} for name in requests
    ]
    return pa.Table.from_pylist(rows, schema=INSTRUCTIONS)


def manifest_of(*sample_ids: str) -> tuple[pa.Table, pa.Table]:
    samples = [
        {
            **dict.fromkeys(SAMPLES.names, ""),
            "sample_id": name,
            "task": name.partition("/")[0],
            "image_sha": f"{index:064x}",
            "record_ids": [],
        }
        for index, name in enumerate(sample_ids)
    ]
    images = [
        {**dict.fromkeys(IMAGES.names), "image_sha": row["image_sha"], "width": 64, "height": 64} for row in samples
    ]
    return pa.Table.from_pylist(samples, schema=SAMPLES), pa.Table.from_pylist(images, schema=IMAGES)


SENDS = (
    ("color/a", 1, "unusable", 0.5),
    ("color/a", 2, "answered", 1.0),
    ("color/b", 1, "unknown", 0.0),
    ("color/b", 2, "answered", 1.5),
    ("shape/c", 1, "failed", 4.0),
)


def test_the_whole_pool_at_the_mean_paid_per_instruction():
    paid = paid_costs(
        attempts_of(*SENDS), instructions_of("color/a", "color/b"), pool=10, parameters=BY_TOKEN, purchase=PURCHASE
    )
    # 0.5 + 1.0 + 1.5 for two instructions; the failure is spent, but the price of no instruction.
    assert paid.spent_usd == pytest.approx(7.0)
    assert paid.price_per_instruction_usd == pytest.approx(1.5)
    assert paid.whole_pool_usd == pytest.approx(15.0)


def test_repetitions_are_paid_once():
    twice = attempts_of(*SENDS, *SENDS[:3])
    paid = paid_costs(
        twice, instructions_of("color/a", "color/b", "color/a"), pool=10, parameters=BY_TOKEN, purchase=PURCHASE
    )
    assert paid.spent_usd == pytest.approx(7.0)
    assert paid.price_per_instruction_usd == pytest.approx(1.5)


def test_instructions_that_are_not_paid_by_the_token_have_the_price_that_is_set():
    attempts = attempts_of(("color/a", 1, "answered", 0.2), ("color/b", 1, "failed", 0.0))
    paid = paid_costs(attempts, instructions_of("color/a"), pool=8, parameters=EXISTING, purchase=PURCHASE)
    assert (paid.spent_usd, paid.price_per_instruction_usd, paid.whole_pool_usd) == (0.2, 0.25, 2.0)
    none = paid_costs(attempts_of(), instructions_of(), pool=8, parameters=EXISTING, purchase=PURCHASE)
    assert (none.spent_usd, none.whole_pool_usd) == (0.0, 2.0)


def test_an_unknown_price_is_not_nothing():
    with pytest.raises(ValueError, match="no instruction came"):
        paid_costs(attempts_of(*SENDS[:1]), instructions_of(), pool=8, parameters=BY_TOKEN, purchase=PURCHASE)
    unpriced = instruction_parameters(provider="openai", model="nobody-knows")
    with pytest.raises(UnknownPriceError):
        paid_costs(attempts_of(*SENDS), instructions_of("color/a"), pool=8, parameters=unpriced, purchase=PURCHASE)


def test_of_a_repetition_the_last_is_kept():
    early, late = ("color/a", 1, "lost", 0.0), ("color/a", 1, "answered", 1.0)
    kept = distinct_sends(attempts_of(early, ("color/b", 1, "answered", 2.0), late))
    assert kept.schema == ATTEMPT_ROWS
    assert kept["price_usd"].to_pylist() == [2.0, 1.0]
    assert distinct_sends(attempts_of()).num_rows == 0


def test_estimated_beside_paid_per_task(tmp_path):
    prompts = write_template(
        tmp_path / "prompts", system="", user="x" * 40, expected_output_tokens=20, turns={"at_least": 1, "at_most": 1}
    )
    samples, images = manifest_of("color/a", "color/b", "shape/c", "shape/never-asked")
    parameters = instruction_parameters(provider="openai", model="test-model", prompts=str(prompts))
    gone = ("color/gone", 1, "answered", 9.0)
    costs = purchase_costs(
        attempts_of(*SENDS, gone, *SENDS[:2]), samples, images, parameters=parameters, purchase=PURCHASE
    )
    color, shape = costs.to_pylist()
    # Two requests of 10 + 4 tokens of text and 64 of the image; $3 and $6 per million tokens in and out.
    assert (color["requests"], color["answered"], color["attempts"]) == (2, 2, 4)
    assert (color["estimated_input_tokens"], color["estimated_output_tokens"]) == (156, 40)
    assert color["estimated_usd"] == pytest.approx((156 * 3 + 40 * 6) / 1e6)
    assert (color["input_tokens"], color["output_tokens"]) == (400, 40)
    assert (color["price_usd"], color["uncertain_usd"]) == (pytest.approx(3.0), pytest.approx(2.0))
    assert (shape["requests"], shape["answered"], shape["attempts"], shape["price_usd"]) == (1, 0, 1, 4.0)
    lines = cost_lines(costs)
    assert lines[-2].split() == ["all", "3", "5", "550", "294", "7.0000", "0.0011"]
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == "Up to $2.00 more may have been charged for sends that had no complete reply."


def test_what_only_controls_needed():
    needed = attempts_of(("a/1", 1, "answered", 0.25), ("a/2", 1, "answered", 0.25))
    control = attempts_of(
        ("a/1", 1, "answered", 0.25),
        ("b/1", 1, "unusable", 0.125),
        ("b/1", 2, "answered", 0.5),
        ("b/2", 1, "failed", 1.0),
    )
    found = control_costs(pa.concat_tables([control, control]), needed)
    assert (found.instructions, found.spent_usd) == (1, 1.625)
    assert control_costs(ATTEMPT_ROWS.empty_table(), needed) == ControlCosts(0, 0.0)
