"""What a purchase will take, whether a person has to agree first, and what was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import func, insert, select

from components.instructions.ledger.ledger import Ledger, find_entries, now_text
from components.instructions.ledger.tables import DECISIONS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.open_provider import PROVIDERS
from components.instructions.provider import InstructionProvider
from components.instructions.request import InstructionRequest, identify_request
from components.instructions.spending.estimate import Estimate, estimate_requests
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.text import aligned_rows, dollars

# A suggested amount leaves a fifth for responses that have to be repaired.
_FOR_REPAIRS = 1.2


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a purchase will take.

    Attributes:
        per_task: task -> estimate of the requests without an outcome, each sent once.
        spent_usd: dollars that the run has spent so far, what may have been charged included.
        allowed_usd: dollars that the run may spend without asking (again).
        limit_usd: dollars at which it stops whatever was approved.
        suggested_usd: dollars that are enough for this purchase when some responses have to be repaired, with what is
            set aside for the requests in flight.
        decisions: times a person was asked in this run.
    """

    per_task: Mapping[str, Estimate]
    spent_usd: float
    allowed_usd: float
    limit_usd: float
    suggested_usd: float
    decisions: int

    @property
    def total(self) -> Estimate:
        """Of all tasks."""
        return sum(self.per_task.values(), Estimate())

    @property
    def needed_usd(self) -> float:
        """Dollars that the run will have spent after this purchase, as estimated."""
        return self.spent_usd + self.total.price_usd

    @property
    def must_ask(self) -> bool:
        """Whether a person has to agree first."""
        return bool(self.total.requests) and self.needed_usd > self.allowed_usd


def purchase_outlook(
    requests: Sequence[InstructionRequest],
    images: pa.Table,
    *,
    provider: InstructionProvider,
    ledger: Ledger,
    parameters: InstructionParameters,
    purchase: PurchaseParameters,
    run: str,
) -> Outlook:
    """Work out what a purchase will take; nothing is asked for.

    Args:
        requests: all that the stage wants, bought or not.
        images: of the manifest, columns of `components.schemas.IMAGES`.
        provider: who would be asked.
        ledger: what was bought before.
        parameters: who would be asked, and what.
        purchase: prices and limits.
        run: label of the curation run.
    """
    kind = PROVIDERS[parameters.provider]
    if not kind.paid_by_token:
        return Outlook({}, 0.0, purchase.approve_above_usd, purchase.spend_at_most_usd, 0.0, 0)
    identified = [identify_request(*pair) for pair in zip(requests, provider.specify(requests), strict=True)]
    entries = find_entries(ledger, [one.request_id for one in identified])
    wanted = [
        one.request for one in identified if one.request_id not in entries or entries[one.request_id].state == "pending"
    ]
    totals = ledger_totals(ledger, run=run)
    per_task = estimate_requests(wanted, images, parameters=parameters, purchase=purchase)
    total = sum(per_task.values(), Estimate())
    in_flight = 1.0 if kind.in_batches else min(1.0, purchase.concurrency / max(total.requests, 1))
    spent_usd = totals.price_usd + totals.uncertain_usd
    return Outlook(
        per_task=per_task,
        spent_usd=spent_usd,
        allowed_usd=max(purchase.approve_above_usd, _decided(ledger, run)[0]),
        limit_usd=purchase.spend_at_most_usd,
        suggested_usd=spent_usd + total.price_usd * _FOR_REPAIRS + total.highest_usd * in_flight,
        decisions=_decided(ledger, run)[1],
    )


def spending_limit_usd(ledger: Ledger, *, run: str, purchase: PurchaseParameters) -> float:
    """Dollars that a run may spend before it has to ask (again) or to stop.

    Args:
        ledger: where decisions are.
        run: label of the curation run.
        purchase: `spend_at_most_usd` and `approve_above_usd`.
    """
    return min(purchase.spend_at_most_usd, max(purchase.approve_above_usd, _decided(ledger, run)[0]))


def record_decision(ledger: Ledger, *, run: str, stage: str, needed_usd: float, approved_usd: float) -> None:
    """Keep what a person decided.

    Args:
        ledger: where.
        run: label of the curation run.
        stage: that asked.
        needed_usd: dollars that the run would have spent.
        approved_usd: dollars that it may spend; 0: declined.
    """
    row = {"run": run, "stage": stage, "needed_usd": needed_usd, "approved_usd": approved_usd}
    with ledger.writer.begin() as connection:
        connection.execute(insert(DECISIONS), {**row, "decided_at": now_text()})


def outlook_text(outlook: Outlook, *, stage: str) -> str:
    """An outlook as Markdown, for the person who decides."""
    header = ("task", "requests", "tokens in", "tokens out", "dollars")
    rows = [
        (
            task,
            f"{one.requests:,}",
            f"{one.input_tokens:,}",
            f"{one.output_tokens:,}",
            f"{one.price_usd:,.4f}",
        )
        for task, one in [*outlook.per_task.items(), ("all", outlook.total)]
    ]
    table = "\n".join(["```", *aligned_rows([header, *rows]), "```"])
    limit = (
        f" The run would stop at purchase.spend_at_most_usd {dollars(outlook.limit_usd)} all the same."
        if outlook.needed_usd > outlook.limit_usd
        else ""
    )
    return (
        f"Stage **{stage}** wants to buy {outlook.total.requests:,} instructions for about "
        f"**{dollars(outlook.total.price_usd)}**. The run has spent {dollars(outlook.spent_usd)} so far and may spend "
        f"{dollars(outlook.allowed_usd)} without asking.{limit}\n\n{table}\n\n"
        "Retries and repairs come on top. Nothing of this was bought yet; if you decline, everything bought before is "
        "kept and the run ends."
    )


def _decided(ledger: Ledger, run: str) -> tuple[float, int]:
    highest = func.coalesce(func.max(DECISIONS.c.approved_usd), 0.0)
    with ledger.engine.connect() as connection:
        approved, count = connection.execute(select(highest, func.count()).where(DECISIONS.c.run == run)).one()
    return float(approved), int(count)
