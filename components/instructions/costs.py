"""What instructions were estimated to cost, beside what they cost."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.instruction_parameters import InstructionParameters, PurchaseParameters
from components.instructions.estimate import estimate_requests
from components.instructions.request import requests_for_samples
from components.money import dollars
from components.schemas import INSTRUCTION_COSTS
from components.text_table import aligned_rows

_UNCERTAIN = frozenset({"lost", "unknown"})
_SUMS = tuple(name for name in INSTRUCTION_COSTS.names if name != "task")


def purchase_costs(
    attempts: pa.Table,
    samples: pa.Table,
    images: pa.Table,
    *,
    parameters: InstructionParameters,
    purchase: PurchaseParameters,
) -> pa.Table:
    """Put the estimate of what was bought, each request sent once, beside what it came to.

    Args:
        attempts: columns of `components.schemas.ATTEMPT_ROWS`, possibly with repetitions; those of samples that
            have left the pool are left out.
        samples: of the manifest, columns of `components.schemas.SAMPLES`.
        images: of the manifest, columns of `components.schemas.IMAGES`.
        parameters: who was asked, and how.
        purchase: the prices.

    Returns:
        Columns of `components.schemas.INSTRUCTION_COSTS`, sorted by task.
    """
    present = attempts.filter(pc.is_in(attempts["sample_id"], value_set=samples["sample_id"].combine_chunks()))
    requests = requests_for_samples(samples, set(present["sample_id"].to_pylist()))
    estimates = estimate_requests(requests, images, parameters=parameters, purchase=purchase)
    found: dict[str, list[dict[str, Any]]] = {task: [] for task in estimates}
    sent = {(row["request_id"], row["number"]): row for row in present.to_pylist()}
    for row in sent.values():
        found[row["task"]].append(row)
    rows = []
    for task, own in found.items():
        estimate = estimates[task]
        rows.append(
            {
                "task": task,
                "requests": estimate.requests,
                "estimated_input_tokens": estimate.input_tokens,
                "estimated_output_tokens": estimate.output_tokens,
                "estimated_usd": estimate.price_usd,
                "answered": sum(row["outcome"] == "answered" for row in own),
                "attempts": len(own),
                "input_tokens": sum(row["input_tokens"] for row in own),
                "output_tokens": sum(row["output_tokens"] for row in own),
                "price_usd": sum(row["price_usd"] for row in own),
                "uncertain_usd": sum(row["may_cost_usd"] for row in own if row["outcome"] in _UNCERTAIN),
            }
        )
    return pa.Table.from_pylist(rows, schema=INSTRUCTION_COSTS)


def cost_lines(costs: pa.Table) -> list[str]:
    """A table of costs as plain text: one line per task, then the sum.

    Args:
        costs: columns of `components.schemas.INSTRUCTION_COSTS`.
    """
    header = ("task", "requests", "sent", "tokens in", "estimated", "tokens out", "estimated", "dollars", "estimated")
    names = (
        "requests",
        "attempts",
        "input_tokens",
        "estimated_input_tokens",
        "output_tokens",
        "estimated_output_tokens",
    )
    rows = costs.to_pylist()
    total = {name: sum(row[name] for row in rows) for name in _SUMS}
    lines = [
        (
            row["task"],
            *(f"{row[name]:,}" for name in names),
            f"{row['price_usd']:,.4f}",
            f"{row['estimated_usd']:,.4f}",
        )
        for row in (*rows, {"task": "all", **total})
    ]
    written = aligned_rows([header, *lines])
    if total["uncertain_usd"]:
        written.append(
            f"Up to {dollars(total['uncertain_usd'])} more may have been charged for sends that had no complete reply."
        )
    return written
