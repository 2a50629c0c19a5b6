"""The made-up run, had its instructions been bought by the token from an endpoint that is not always there."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa

from components import schemas
from components.instructions.spending.costs import distinct_sends
from components.parameters.instructions import PatchTokens, Price
from components.report.inputs import InstructionTable, Purchase, ReportInputs

PRICE = Price.model_construct(
    model="gpt-4.1-mini",
    input_usd=0.4,
    output_usd=1.6,
    batch_factor=0.5,
    image_tokens=PatchTokens(patch=32, at_most=1536, factor=1.62),
    as_of=date(2026, 6, 21),
)
ESTIMATED_TOKENS = (900, 160)  # in and out, of one request
MAY_COST = 0.0013


def token_usd(sent: int, received: int) -> float:
    return (sent * PRICE.input_usd + received * PRICE.output_usd) / 1e6


def bought_by_token(inputs: ReportInputs) -> ReportInputs:
    """Every 40th request is repaired, every 50th refused and sent again, and so on; see `_sends`."""
    tables = tuple(_bought(part) for part in inputs.instructions)
    needed = [part for part in tables if part.origin in ("reference", "selection")]
    spent = sum(sum(part.attempts["price_usd"].to_pylist()) for part in needed)
    instructions = sum(part.table.num_rows for part in needed)
    paid = sum(sum(part.table["price_usd"].to_pylist()) for part in needed) / instructions
    by_task = _by_task(tables)
    costs = replace(
        inputs.costs,
        instructions=instructions,
        spent_usd=spent,
        all_usd=paid * inputs.costs.all_instructions,
        price_per_instruction_usd=paid,
        instructions_to_date=sum(by_task["answered"].to_pylist()),
        to_date_usd=sum(by_task["price_usd"].to_pylist()),
        purchase=Purchase(by_task, PRICE, in_batches=False),
    )
    return replace(inputs, instructions=tables, costs=costs)


def _bought(part: InstructionTable) -> InstructionTable:
    instructions, attempts = [], []
    for row in part.table.to_pylist():
        sends = list(_sends(row))
        attempts += sends
        if sends[-1]["outcome"] == "answered":
            sums = {name: sum(send[name] for send in sends) for name in ("input_tokens", "output_tokens", "price_usd")}
            instructions.append(
                {**row, **sums, "provider": "openai", "model": PRICE.model, "attempts": len(sends)},
            )
    return InstructionTable(
        part.origin,
        pa.Table.from_pylist(instructions, schema=schemas.INSTRUCTIONS),
        pa.Table.from_pylist(attempts, schema=schemas.ATTEMPT_ROWS),
    )


def _sends(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One request's, by the number in its name, so that a request has the same in every table."""
    index = int(row["request_id"].rpartition("-")[2])
    outcomes = ["answered"]
    if index % 40 == 0:
        outcomes = ["unusable", "failed" if index % 80 == 0 else "answered"]
    elif index % 50 == 1:
        outcomes = ["refused", "refused", "answered"]
    elif index % 90 == 2:
        outcomes = ["unknown", "answered"]
    elif index % 200 == 3:
        outcomes = ["lost", "answered"]
    for number, outcome in enumerate(outcomes, start=1):
        sent, received = 0, 0
        if outcome in ("answered", "unusable", "failed"):
            sent, received = 880 + index % 60, 120 + index % 90
        yield {
            "sample_id": row["sample_id"],
            "task": row["task"],
            "request_id": row["request_id"],
            "number": number,
            "kind": "first" if number == 1 else "repair" if outcomes[0] == "unusable" else "retry",
            "outcome": outcome,
            "provider": "openai",
            "model": PRICE.model,
            "input_tokens": sent,
            "output_tokens": received,
            "price_usd": token_usd(sent, received),
            "may_cost_usd": MAY_COST,
            "error": _error(outcome, index),
            "raw_text": "",
        }


def _error(outcome: str, index: int) -> str:
    if outcome in ("unusable", "failed"):
        return "not_json: the response is not JSON: line 1" if index % 3 else "too_long: 300 words, at most 250"
    return {"refused": "rate_limited: 429", "unknown": "timeout: no reply"}.get(outcome, "")


def _by_task(tables: tuple[InstructionTable, ...]) -> pa.Table:
    rows: dict[str, dict[str, Any]] = {}
    requests: dict[str, set[str]] = {}
    for send in distinct_sends(pa.concat_tables([part.attempts for part in tables])).to_pylist():
        task = send["task"]
        row = rows.setdefault(task, {**dict.fromkeys(schemas.INSTRUCTION_COSTS.names, 0), "task": task})
        requests.setdefault(task, set()).add(send["request_id"])
        row["attempts"] += 1
        row["answered"] += send["outcome"] == "answered"
        for name in ("input_tokens", "output_tokens", "price_usd"):
            row[name] += send[name]
        if send["outcome"] in ("unknown", "lost"):
            row["uncertain_usd"] += send["may_cost_usd"]
    for task, row in rows.items():
        row["requests"] = wanted = len(requests[task])
        row["estimated_input_tokens"], row["estimated_output_tokens"] = (wanted * each for each in ESTIMATED_TOKENS)
        row["estimated_usd"] = wanted * token_usd(*ESTIMATED_TOKENS)
    return pa.Table.from_pylist([rows[task] for task in sorted(rows)], schema=schemas.INSTRUCTION_COSTS)
