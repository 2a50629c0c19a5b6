"""What was sent to get the instructions, by purpose, by task and by outcome, and what it cost."""

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.instructions.spending.costs import distinct_sends
from components.report.inputs import Costs, InstructionTable
from components.schemas import INSTRUCTION_COSTS

# Of `components.schemas.ATTEMPT_ROWS`, in the order of the page, and whether nobody knows what they cost.
OUTCOMES = {
    "answered": False,
    "unusable": False,
    "refused": False,
    "unknown": True,
    "lost": True,
    "failed": False,
    "asked": True,
}


@dataclass(frozen=True, slots=True)
class PurposeCost:
    """The instructions of one purpose, and what was sent and paid for them, failures included."""

    origin: str
    instructions: int
    input_tokens: int
    output_tokens: int
    usd: float


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What was estimated and paid for one task, or for all: the columns of INSTRUCTION_COSTS that the page shows."""

    task: str
    requests: int
    attempts: int
    input_tokens: int
    estimated_input_tokens: int
    output_tokens: int
    estimated_output_tokens: int
    price_usd: float
    estimated_usd: float


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Sends that ended alike.

    Attributes:
        outcome: how.
        sends: how many.
        usd: what they were charged.
        at_most_usd: what they may have been charged, where nobody knows; else 0.
        reasons: counted, the most frequent first.
    """

    outcome: str
    sends: int
    usd: float
    at_most_usd: float
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Sends:
    """All sends.

    Attributes:
        tasks: per task.
        total: of all tasks.
        has_tokens: tokens are counted.
        outcomes: those that occurred.
        uncertain_usd: what more may have been charged.
    """

    tasks: tuple[TaskCost, ...]
    total: TaskCost
    has_tokens: bool
    outcomes: tuple[OutcomeCount, ...]
    uncertain_usd: float


def purpose_costs(tables: tuple[InstructionTable, ...]) -> tuple[PurposeCost, ...]:
    """Sum up every purpose."""
    return tuple(
        PurposeCost(
            origin=part.origin,
            instructions=part.table.num_rows,
            input_tokens=int(_sum(part.attempts["input_tokens"])),
            output_tokens=int(_sum(part.attempts["output_tokens"])),
            usd=_sum(part.attempts["price_usd"]),
        )
        for part in tables
    )


def all_sends(costs: Costs, tables: tuple[InstructionTable, ...]) -> Sends | None:
    """Sum the purchase up; None when nothing is paid by the token and every request was answered the first time."""
    purchase = costs.purchase
    if purchase is None or not tables:
        return None
    sends = distinct_sends(pa.concat_tables([part.attempts for part in tables]))
    if purchase.price is None and _all_answered_at_once(sends):
        return None
    rows = purchase.by_task.to_pylist()
    total = {name: sum(row[name] for row in rows) for name in INSTRUCTION_COSTS.names if name != "task"}
    return Sends(
        tasks=tuple(_task_cost(row["task"], row) for row in rows),
        total=_task_cost("", total),
        has_tokens=any(total[name] for name in total if name.endswith("tokens")),
        outcomes=_outcomes(sends),
        uncertain_usd=total["uncertain_usd"],
    )


def _task_cost(task: str, row: dict[str, Any]) -> TaskCost:
    return TaskCost(task, **{field.name: row[field.name] for field in fields(TaskCost) if field.name != "task"})


def _all_answered_at_once(sends: pa.Table) -> bool:
    troubled = pc.or_(pc.not_equal(sends["outcome"], "answered"), pc.greater(sends["number"], 1))
    return not pc.any(pc.or_(troubled, pc.not_equal(sends["error"], ""))).as_py()


def _outcomes(sends: pa.Table) -> tuple[OutcomeCount, ...]:
    rows = []
    for outcome, nobody_knows in OUTCOMES.items():
        own = sends.filter(pc.equal(sends["outcome"], outcome))
        if own.num_rows:
            reasons = Counter(error.partition(":")[0] for error in own["error"].to_pylist() if error)
            rows.append(
                OutcomeCount(
                    outcome=outcome,
                    sends=own.num_rows,
                    usd=_sum(own["price_usd"]),
                    at_most_usd=_sum(own["may_cost_usd"]) if nobody_knows else 0.0,
                    reasons=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
                )
            )
    return tuple(rows)


def _sum(column: pa.ChunkedArray) -> float:
    return float(pc.sum(column).as_py() or 0)
