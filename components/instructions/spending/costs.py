"""What instructions were estimated to cost, beside what they cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.instructions.request import requests_for_samples
from components.instructions.spending.estimate import estimate_requests, provider_price
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.schemas import INSTRUCTION_COSTS
from components.text import aligned_rows, dollars

# What was still in flight when it was exported, because another run sent it too, may be charged as well.
_UNCERTAIN = frozenset({"lost", "unknown", "asked"})
_SUMS = tuple(name for name in INSTRUCTION_COSTS.names if name != "task")
# All but the responses, which are long.
_COUNTED = ("task", "outcome", "input_tokens", "output_tokens", "price_usd", "may_cost_usd")


@dataclass(frozen=True, slots=True)
class PaidCosts:
    """What instructions came to, and what the whole pool would have come to at the same price.

    Attributes:
        spent_usd: dollars paid, failures included.
        price_per_instruction_usd: dollars of one instruction: the mean paid, or what a provider that is not paid by
            the token books for each.
        whole_pool_usd: that price for every sample of the pool.
    """

    spent_usd: float
    price_per_instruction_usd: float
    whole_pool_usd: float


def distinct_sends(attempts: pa.Table) -> pa.Table:
    """Keep every send, known by its request and its number, once.

    Args:
        attempts: columns of `components.schemas.ATTEMPT_ROWS`, of several artifacts that may share requests.

    Returns:
        The same columns in the same order, without the repetitions: the last of each, which was exported last.
    """
    keys = zip(attempts["request_id"].to_pylist(), attempts["number"].to_pylist(), strict=True)
    last = {key: row for row, key in enumerate(keys)}
    kept = np.zeros(attempts.num_rows, dtype=np.bool_)  # (attempts,)
    kept[list(last.values())] = True
    return attempts.filter(pa.array(kept))


def paid_costs(
    attempts: pa.Table,
    instructions: pa.Table,
    *,
    pool: int,
    parameters: InstructionParameters,
    purchase: PurchaseParameters,
) -> PaidCosts:
    """Add up what instructions came to, and set the whole pool beside it.

    The mean price counts every send that an instruction took, repairs included, and leaves out the requests that
    brought none: it is the price of what the whole pool would have, one instruction for each sample.

    Args:
        attempts: what was sent for the instructions, columns of `components.schemas.ATTEMPT_ROWS`, possibly with
            repetitions.
        instructions: that came of it, columns of `components.schemas.INSTRUCTIONS`.
        pool: samples in the pool.
        parameters: who was asked.
        purchase: the prices.

    Raises:
        UnknownPriceError: the provider is paid by the token, and the model has no price.
        ValueError: the provider is paid by the token and no instruction came, so that there is no price to go by.
    """
    sends = distinct_sends(attempts)
    if provider_price(parameters, purchase) is None:
        unit = parameters.price_per_instruction_usd
    else:
        ids = pc.unique(instructions["request_id"])
        if not len(ids):
            raise ValueError("no instruction came, so the price of one is not known; buy some before asking for it")
        unit = _sum_usd(sends.filter(pc.is_in(sends["request_id"], value_set=ids))) / len(ids)
    return PaidCosts(_sum_usd(sends), unit, pool * unit)


@dataclass(frozen=True, slots=True)
class ControlCosts:
    """What controls took beside the method.

    Attributes:
        instructions: that only they needed.
        spent_usd: dollars paid for these, failures included.
    """

    instructions: int
    spent_usd: float


def control_costs(attempts: pa.Table, needed: pa.Table) -> ControlCosts:
    """Add up what was bought for controls alone.

    Args:
        attempts: what was sent for their instructions, columns of `components.schemas.ATTEMPT_ROWS`.
        needed: the same of the instructions that choosing and tuning took.
    """
    sends = distinct_sends(attempts)
    own = sends.filter(pc.invert(pc.is_in(sends["request_id"], value_set=pc.unique(needed["request_id"]))))
    return ControlCosts(pc.sum(pc.equal(own["outcome"], "answered")).as_py() or 0, _sum_usd(own))


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
    present = distinct_sends(attempts)
    present = present.filter(pc.is_in(present["sample_id"], value_set=samples["sample_id"].combine_chunks()))
    requests = requests_for_samples(samples, set(present["sample_id"].to_pylist()))
    estimates = estimate_requests(requests, images, parameters=parameters, purchase=purchase)
    found: dict[str, list[dict[str, Any]]] = {task: [] for task in estimates}
    for row in present.select(_COUNTED).to_pylist():
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
    """A table of costs as plain text, 80 columns wide at most: one line per task, then the sum.

    Args:
        costs: columns of `components.schemas.INSTRUCTION_COSTS`.
    """
    header = ("task", "requests", "sent", "tokens", "estimated", "dollars", "estimated")
    rows = costs.to_pylist()
    total = {name: sum(row[name] for row in rows) for name in _SUMS}
    lines = [
        (
            row["task"],
            f"{row['requests']:,}",
            f"{row['attempts']:,}",
            f"{row['input_tokens'] + row['output_tokens']:,}",
            f"{row['estimated_input_tokens'] + row['estimated_output_tokens']:,}",
            f"{row['price_usd']:,.4f}",
            f"{row['estimated_usd']:,.4f}",
        )
        for row in (*rows, {"task": "all", **total})
    ]
    written = aligned_rows([header, *lines])
    if total["uncertain_usd"]:
        written.append(uncertain_sentence(total["uncertain_usd"]))
    return written


def uncertain_sentence(uncertain_usd: float) -> str:
    """Say what may have been charged beyond what is booked.

    Args:
        uncertain_usd: dollars at most, above 0.
    """
    return f"Up to {dollars(uncertain_usd)} more may have been charged for sends that had no complete reply."


def _sum_usd(sends: pa.Table) -> float:
    return float(pc.sum(sends["price_usd"]).as_py() or 0.0)
