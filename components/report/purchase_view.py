"""What was sent to get the instructions, task by task and outcome by outcome, and what that cost."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.instructions.spending.costs import distinct_sends, uncertain_sentence
from components.money import dollars
from components.parameters.instructions import Price
from components.report.inputs import InstructionTable, Purchase
from components.report.number_text import count
from components.schemas import INSTRUCTION_COSTS


@dataclass(frozen=True, slots=True)
class OutcomeText:
    """What became of a send, and whether a provider that is paid by the token charged it; two parts of a sentence."""

    meaning: str
    charge: str


_PERHAPS = "it may have been charged"
# In the order of the page: the outcomes of `components.schemas.ATTEMPT_ROWS`.
OUTCOMES = {
    "answered": OutcomeText("A usable instruction came", "it was charged"),
    "unusable": OutcomeText("The response broke a rule and was sent back with the reason", "it was charged"),
    "refused": OutcomeText("The endpoint said no or could not be reached", "nothing was charged"),
    "unknown": OutcomeText("No complete reply came, as after a time-out or a lost connection", _PERHAPS),
    "lost": OutcomeText("The program ended, or a batch was closed, before a reply was written down", _PERHAPS),
    "failed": OutcomeText(
        "The request is quarantined without a usable instruction", "any response that came was charged"
    ),
    "asked": OutcomeText("The reply was still awaited when this was written down", _PERHAPS),
}


@dataclass(frozen=True, slots=True)
class PurchaseRow:
    """One task, or all of them; texts."""

    task: str
    requests: str
    sends: str
    input_tokens: str
    estimated_input_tokens: str
    output_tokens: str
    estimated_output_tokens: str
    price: str
    estimated_price: str


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """Sends that ended alike; texts.

    Attributes:
        outcome: how.
        sends: how many.
        charged: dollars.
        meaning: a sentence.
        reasons: counted, the most frequent first; empty where there are none.
    """

    outcome: str
    sends: str
    charged: str
    meaning: str
    reasons: str


@dataclass(frozen=True, slots=True)
class PurchaseView:
    """What was sent.

    Attributes:
        rows: per task.
        total: of all tasks.
        has_tokens: tokens are counted.
        outcomes: of all sends, those that occurred.
        price: what the dollars rest on, in a sentence; empty when nothing is paid by the token.
        uncertain: what more may have been charged, in a sentence; empty when that is nothing.
    """

    rows: tuple[PurchaseRow, ...]
    total: PurchaseRow
    has_tokens: bool
    outcomes: tuple[OutcomeRow, ...]
    price: str
    uncertain: str


def purchase_view(purchase: Purchase | None, tables: tuple[InstructionTable, ...]) -> PurchaseView | None:
    """Lay the purchase out; None when nothing is paid by the token and every request was answered the first time."""
    if purchase is None or not tables:
        return None
    sends = distinct_sends(pa.concat_tables([part.attempts for part in tables]))
    if purchase.price is None and _all_answered_at_once(sends):
        return None
    rows = purchase.by_task.to_pylist()
    total = {name: sum(row[name] for row in rows) for name in INSTRUCTION_COSTS.names if name != "task"}
    tokens = ("input_tokens", "output_tokens", "estimated_input_tokens", "estimated_output_tokens")
    return PurchaseView(
        rows=tuple(_task_row(row) for row in rows),
        total=_task_row({"task": "All tasks", **total}),
        has_tokens=any(total[name] for name in tokens),
        outcomes=_outcome_rows(sends, by_token=purchase.price is not None),
        price=_price_sentence(purchase.price, in_batches=purchase.in_batches) if purchase.price else "",
        uncertain=uncertain_sentence(total["uncertain_usd"]) if total["uncertain_usd"] else "",
    )


def _all_answered_at_once(sends: pa.Table) -> bool:
    troubled = pc.or_(pc.not_equal(sends["outcome"], "answered"), pc.greater(sends["number"], 1))
    return not pc.any(troubled).as_py()


def _task_row(row: dict[str, Any]) -> PurchaseRow:
    return PurchaseRow(
        task=row["task"],
        requests=count(row["requests"]),
        sends=count(row["attempts"]),
        input_tokens=count(row["input_tokens"]),
        estimated_input_tokens=count(row["estimated_input_tokens"]),
        output_tokens=count(row["output_tokens"]),
        estimated_output_tokens=count(row["estimated_output_tokens"]),
        price=dollars(row["price_usd"]),
        estimated_price=dollars(row["estimated_usd"]),
    )


def _outcome_rows(sends: pa.Table, *, by_token: bool) -> tuple[OutcomeRow, ...]:
    rows = []
    for outcome, text in OUTCOMES.items():
        own = sends.filter(pc.equal(sends["outcome"], outcome))
        if not own.num_rows:
            continue
        charged = dollars(pc.sum(own["price_usd"]).as_py())
        at_most = pc.sum(own["may_cost_usd"]).as_py()
        if text.charge is _PERHAPS and at_most:
            charged = f"up to {dollars(at_most)}"
        rows.append(
            OutcomeRow(
                outcome=outcome,
                sends=count(own.num_rows),
                charged=charged,
                meaning=f"{text.meaning}, and {text.charge}." if by_token else f"{text.meaning}.",
                reasons=_counted_reasons(own["error"].to_pylist()),
            )
        )
    return tuple(rows)


def _counted_reasons(errors: list[str]) -> str:
    reasons = Counter(error.partition(":")[0] for error in errors if error)
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count(number)}" for reason, number in ordered)


def _price_sentence(price: Price, *, in_batches: bool) -> str:
    factor = price.batch_factor if in_batches else 1.0
    sent, received = _rate(price.input_usd * factor), _rate(price.output_usd * factor)
    return (
        f"Estimated at the price of {price.model} as of {price.as_of.isoformat()}: {sent} per million tokens in and"
        f" {received} out{' in batches' if in_batches else ''}; what was paid is booked at the price in force when it"
        " was sent."
    )


def _rate(usd: float) -> str:
    """Dollars to the cent, or as exact as they are given."""
    text = f"{usd:.2f}"
    return f"${text}" if float(text) == usd else f"${usd:g}"
