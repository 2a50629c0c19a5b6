"""The training set, the artifacts of instructions and the ledger, held against each other."""

from dataclasses import replace

import pyarrow as pa

from components.lineage.check_instructions import check_attempts, check_ledger, check_price, check_training_set
from components.lineage.ledger_history import RequestHistory
from components.pool.samples import Turn
from components.schemas import ATTEMPT_ROWS, INSTRUCTIONS, TRAINING_SAMPLES

TURNS = [{"question": "What?", "response": "A cat."}]
HISTORY = RequestHistory(
    "r1", "answered", "openai", "gpt", "template", "{}", (Turn("What?", "A cat."),), 1, 0.02, 0.02, "run", "t0", "t1"
)


def instructions(turns: list[dict[str, str]] = TURNS, price: float = 0.02) -> pa.Table:
    row = {
        "sample_id": "a/1",
        "task": "a",
        "image_sha": "1",
        "request_id": "r1",
        "provider": "openai",
        "model": "gpt",
        "turns": turns,
        "input_tokens": 1,
        "output_tokens": 1,
        "price_usd": price,
        "attempts": 1,
    }
    return pa.Table.from_pylist([row], schema=INSTRUCTIONS)


def training_set(turns: list[dict[str, str]] = TURNS, origin: str = "selection") -> pa.Table:
    row = {"sample_id": "a/1", "task": "a", "image_sha": "1", "uri": "1.png", "origin": origin, "copies": 1}
    return pa.Table.from_pylist([{**row, "turns": turns}], schema=TRAINING_SAMPLES)


def test_what_agrees_has_no_mismatch() -> None:
    assert check_training_set(training_set(), {"selection": instructions()}) == []
    assert check_ledger([instructions()], {"r1": HISTORY}) == []


def test_a_changed_training_text_is_named_with_both_texts() -> None:
    changed = [{"question": "What?", "response": "A dog."}]
    (mismatch,) = check_training_set(training_set(changed), {"selection": instructions()})
    assert mismatch.name == "training set, a/1"
    assert (mismatch.expected, mismatch.found) == ('[["What?", "A cat."]]', '[["What?", "A dog."]]')


def test_a_sample_without_an_instruction_is_named() -> None:
    (mismatch,) = check_training_set(training_set(origin="reference"), {"selection": instructions()})
    assert mismatch.expected == "nothing"


def test_every_disagreement_of_the_ledger_is_named() -> None:
    def found(history: RequestHistory | None) -> list[tuple[str, str, str]]:
        histories = {} if history is None else {"r1": history}
        return [(one.check, one.expected, one.found) for one in check_ledger([instructions()], histories)]

    assert found(None) == [("instruction", "answered", "nothing")]
    assert found(replace(HISTORY, state="quarantined")) == [("instruction", "answered", "quarantined")]
    other = replace(HISTORY, turns=(Turn("What?", "A dog."),))
    assert found(other) == [("instruction", '[["What?", "A cat."]]', '[["What?", "A dog."]]')]
    assert found(replace(HISTORY, price_usd=0.03, attempts_price_usd=0.03)) == [("price", "$0.020000", "$0.030000")]
    assert found(replace(HISTORY, attempts_price_usd=0.01)) == [("price", "$0.020000", "$0.010000")]


def test_attempts_must_add_up_to_the_price() -> None:
    rows = [dict.fromkeys(ATTEMPT_ROWS.names) | {"request_id": "r1", "price_usd": price} for price in (0.005, 0.015)]
    rows.append(dict.fromkeys(ATTEMPT_ROWS.names) | {"request_id": "quarantined", "price_usd": 1.0})
    attempts = pa.Table.from_pylist(rows, schema=ATTEMPT_ROWS)
    assert check_attempts("data/x", instructions(), attempts) == []
    (mismatch,) = check_attempts("data/x", instructions(price=0.03), attempts)
    assert (mismatch.name, mismatch.expected, mismatch.found) == ("data/x, a/1", "$0.020000", "$0.030000")


def test_amounts_are_compared_to_a_millionth_of_a_dollar() -> None:
    assert check_price("x", 0.1 + 0.2, 0.3) == []
    assert len(check_price("x", 0.3, 0.300002)) == 1
