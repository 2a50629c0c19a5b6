"""Whether the training set says what the ledger's settled requests answered, and costs what MLflow says."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from components.lineage.check_artifacts import LOST, Mismatch
from components.lineage.ledger_history import RequestHistory
from components.pool.samples import Turn

TEXT = "instruction"
PRICE = "price"
_CENT_FRACTION = 1e-6  # dollars; sums of floats differ in the last digits, and MLflow keeps six


def check_training_set(training_set: pa.Table, instructions: Mapping[str, pa.Table]) -> list[Mismatch]:
    """Whether every sample carries the instruction that was bought for it.

    Args:
        training_set: columns of `components.schemas.TRAINING_SAMPLES`.
        instructions: columns of `components.schemas.INSTRUCTIONS`, by origin.
    """
    bought = {
        (origin, row["sample_id"]): row["turns"] for origin, table in instructions.items() for row in table.to_pylist()
    }
    wrong = []
    for row in training_set.to_pylist():
        expected = bought.get((row["origin"], row["sample_id"]))
        if expected != row["turns"]:
            wrong.append(Mismatch(TEXT, f"training set, {row['sample_id']}", _text(expected), _text(row["turns"])))
    return wrong


def check_ledger(instructions: Sequence[pa.Table], histories: Mapping[str, RequestHistory]) -> list[Mismatch]:
    """Whether every instruction is the answer of a settled request of the ledger, with the same text and price.

    Args:
        instructions: columns of `components.schemas.INSTRUCTIONS`.
        histories: of the ledger, by request id.
    """
    wrong = []
    for row in (row for table in instructions for row in table.to_pylist()):
        name = f"{row['sample_id']}, request {row['request_id'][:12]}"
        history = histories.get(row["request_id"])
        if history is None:
            wrong.append(Mismatch(TEXT, f"ledger, {name}", "answered", LOST))
            continue
        if history.state != "answered":
            wrong.append(Mismatch(TEXT, f"ledger, {name}", "answered", history.state))
        elif _pairs(history.turns) != row["turns"]:
            wrong.append(Mismatch(TEXT, f"ledger, {name}", _text(row["turns"]), _text(_pairs(history.turns))))
        wrong += check_price(f"ledger, {name}", row["price_usd"], history.price_usd)
        wrong += check_price(f"ledger, attempts of {name}", history.price_usd, history.attempts_price_usd)
    return wrong


def check_attempts(name: str, instructions: pa.Table, attempts: pa.Table) -> list[Mismatch]:
    """Whether the prices of an artifact's instructions are those of what was sent for them.

    Args:
        name: of the artifact.
        instructions: columns of `components.schemas.INSTRUCTIONS`.
        attempts: columns of `components.schemas.ATTEMPT_ROWS`; may hold requests that got no instruction.
    """
    sent: dict[str, float] = {}
    for row in attempts.select(["request_id", "price_usd"]).to_pylist():
        sent[row["request_id"]] = sent.get(row["request_id"], 0.0) + row["price_usd"]
    rows = instructions.select(["request_id", "price_usd", "sample_id"]).to_pylist()
    return [
        wrong
        for row in rows
        for wrong in check_price(f"{name}, {row['sample_id']}", sent.get(row["request_id"], 0.0), row["price_usd"])
    ]


def check_price(name: str, expected_usd: float, found_usd: float) -> list[Mismatch]:
    """Whether two amounts are the same to a millionth of a dollar."""
    if abs(expected_usd - found_usd) <= _CENT_FRACTION:
        return []
    return [Mismatch(PRICE, name, f"${expected_usd:.6f}", f"${found_usd:.6f}")]


def _pairs(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return [{"question": turn.question, "response": turn.response} for turn in turns]


def _text(turns: list[dict[str, Any]] | None) -> str:
    return LOST if turns is None else json.dumps([list(turn.values()) for turn in turns], ensure_ascii=False)
