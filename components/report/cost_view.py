"""What the instructions cost, by what they were for."""

from dataclasses import dataclass

import pyarrow.compute as pc

from components.money import dollars
from components.report.inputs import Costs, InstructionTable
from components.report.number_text import count, percent
from components.report.purchase_view import PurchaseView, purchase_view

PURPOSES = {
    "reference": "reference set",
    "pool": "whole pool, which the strategy reads",
    "selection": "selection",
    "random": "random control",
    "full": "full-pool control",
}


@dataclass(frozen=True, slots=True)
class CostRow:
    """The instructions of one purpose, and what was sent and paid for them, failures included; texts."""

    purpose: str
    control: bool
    instructions: str
    input_tokens: str
    output_tokens: str
    price: str


@dataclass(frozen=True, slots=True)
class CostView:
    """The section.

    Attributes:
        rows: per purpose.
        by_money: the bars compare dollars; otherwise instructions, because they are free.
        spent: what the training set's instructions cost (dollars, or how many).
        everything: what annotating the whole pool would have cost.
        spent_bar: length of the first bar, 0 to 100, the second being 100.
        share: the first over the second, empty where the second is nothing.
        has_tokens: some send has its tokens counted.
        price: price of one instruction.
        by_token: that price is the mean of what was paid by the token.
        to_date: instructions in the ledger.
        to_date_price: what they cost.
        purchase: the sends, where there is more to say than that each brought its instruction.
    """

    rows: tuple[CostRow, ...]
    by_money: bool
    spent: str
    everything: str
    spent_bar: float
    share: str
    has_tokens: bool
    price: str
    by_token: bool
    to_date: str
    to_date_price: str
    purchase: PurchaseView | None


def cost_view(costs: Costs, tables: tuple[InstructionTable, ...]) -> CostView:
    """Sum the tables up."""
    by_money = costs.all_usd > 0
    spent, everything = (
        (costs.spent_usd, costs.all_usd) if by_money else (float(costs.instructions), float(costs.all_instructions))
    )
    share = spent / everything if everything else 0.0
    return CostView(
        rows=tuple(_row(table) for table in tables),
        by_money=by_money,
        spent=dollars(spent) if by_money else count(costs.instructions),
        everything=dollars(everything) if by_money else count(costs.all_instructions),
        spent_bar=round(100 * min(share, 1.0), 2),
        share=percent(share) if everything else "",
        has_tokens=any(_total(part, "input_tokens") + _total(part, "output_tokens") for part in tables),
        price=dollars(costs.price_per_instruction_usd),
        by_token=costs.purchase is not None and costs.purchase.price is not None,
        to_date=count(costs.instructions_to_date),
        to_date_price=dollars(costs.to_date_usd)
        + (f" (up to {dollars(costs.to_date_uncertain_usd)} more)" if costs.to_date_uncertain_usd else ""),
        purchase=purchase_view(costs.purchase, tables),
    )


def _row(part: InstructionTable) -> CostRow:
    return CostRow(
        purpose=PURPOSES.get(part.origin, part.origin),
        control=part.origin not in ("reference", "pool", "selection"),
        instructions=count(part.table.num_rows),
        input_tokens=count(int(_total(part, "input_tokens"))),
        output_tokens=count(int(_total(part, "output_tokens"))),
        price=dollars(_total(part, "price_usd")),
    )


def _total(part: InstructionTable, column: str) -> float:
    return float(pc.sum(part.attempts[column]).as_py() or 0)
