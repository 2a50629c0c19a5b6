"""Buying instructions for chosen samples, and for no other: what the stages that buy have in common."""

from collections.abc import Sequence
from functools import partial

import pyarrow.compute as pc

from components.instructions.buy import BuyResult, buy_instructions
from components.instructions.ledger.ledger import open_ledger
from components.instructions.missing import pool_refusal, samples_without_instruction
from components.instructions.open_provider import PROVIDERS, open_provider
from components.instructions.provider import InstructionProvider
from components.instructions.purchase_errors import BudgetSpentError, PurchaseStoppedError
from components.instructions.request import InstructionRequest, requests_for_samples
from components.instructions.spending.approval import purchase_outlook, spending_limit_usd
from components.instructions.spending.estimate import estimate_requests
from components.parameters.parameters import Parameters
from components.pool.manifest import read_images, read_samples
from components.storage import fresh_directory, write_table
from components.text import dollars
from tasks.bodies.tables import write_dropped
from tasks.platform.declaration import Resource
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageRefusedError, StageSummary
from tasks.platform.stage_tables import purchase_tables

INSTRUCTION_PARAMETERS = ("instructions", "sources", "ingest.pixel_limit")


def asked_resource(parameters: Parameters) -> Resource | None:
    """What buying instructions takes a share of."""
    return PROVIDERS[parameters.instructions.provider].takes


# What every stage that buys declares; reads, writes and whose instructions it buys are its own.
buying_stage = partial(
    stage,
    parameters=INSTRUCTION_PARAMETERS,
    uses=asked_resource,
    memory=("purchase.local.batch_size",),
    tables=purchase_tables,
)


class ApprovalUsedUpError(StageRefusedError):
    """A purchase came to more than estimated, and a person has to say whether it goes on."""


def buy_for_samples(context: StageContext, chosen: Sequence[str]) -> StageSummary:
    """Buy the instructions of samples and write them with what was asked and what was dropped.

    Args:
        context: of the stage.
        chosen: sample ids.
    """
    samples = read_samples(context.input("manifest"))
    requests = requests_for_samples(samples, chosen)
    if not context.in_flow:
        _refuse_to_spend(context, requests)
    result = _buy(context, requests)
    with fresh_directory(context.output) as directory:
        write_table(directory / "instructions.parquet", result.instructions)
        write_table(directory / "attempts.parquet", result.attempts)
        write_dropped(directory, result.dropped)
    rows, cost = result.instructions.num_rows, pc.sum(result.attempts["price_usd"]).as_py() or 0.0
    return StageSummary(
        rows,
        f"{rows:,} instructions for {dollars(cost)} ({dollars(result.price_usd)} of it now), "
        f"{len(result.dropped):,} dropped",
        (
            ("instructions", rows),
            ("cost_usd", cost),
            ("bought_usd", result.price_usd),
            ("dropped", len(result.dropped)),
        ),
    )


def _buy(context: StageContext, requests: Sequence[InstructionRequest]) -> BuyResult:
    own, purchase = context.parameters.instructions, context.parameters.purchase
    with open_ledger(own.ledger) as ledger:
        allowed_usd = spending_limit_usd(ledger, run=context.run_label, purchase=purchase)
        try:
            return buy_instructions(
                requests,
                provider=_provider(context, spend_at_most_usd=allowed_usd),
                ledger=ledger,
                progress=context.progress("instructions:"),
                run=context.run_label,
                ask_again=context.refresh,
            )
        except BudgetSpentError as error:
            if allowed_usd < purchase.spend_at_most_usd:
                raise ApprovalUsedUpError(
                    f"the run may spend {dollars(allowed_usd)} without a person's word (purchase.approve_above_usd, or "
                    "what was approved), and the next request may take more: `presel run` asks; all bought is kept"
                ) from None
            raise StageRefusedError(f"{context.stage}: {error}") from None
        except PurchaseStoppedError as error:
            raise StageRefusedError(f"{context.stage}: {error}") from None


def refuse_to_buy(context: StageContext) -> None:
    """Go on only when nothing has to be bought for the pool.

    Raises:
        StageRefusedError: something has; the message says how much.
    """
    samples = read_samples(context.input("manifest"))
    own, purchase = context.parameters.instructions, context.parameters.purchase
    provider = _provider(context)
    with open_ledger(own.ledger) as ledger:
        missing = samples_without_instruction(samples, provider=provider, ledger=ledger)
    if missing:
        requests = requests_for_samples(samples, missing)
        images = read_images(context.input("manifest"))
        estimates = estimate_requests(requests, images, parameters=own, purchase=purchase)
        raise StageRefusedError(
            pool_refusal(
                strategy=context.parameters.strategy,
                missing=len(missing),
                pool=samples.num_rows,
                price_usd=sum(estimate.price_usd for estimate in estimates.values()),
                can_write=PROVIDERS[own.provider].writes,
            )
        )


def _provider(context: StageContext, *, spend_at_most_usd: float | None = None) -> InstructionProvider:
    parameters, purchase = context.parameters, context.parameters.purchase
    if spend_at_most_usd is not None:
        purchase = purchase.model_copy(update={"spend_at_most_usd": spend_at_most_usd})
    return open_provider(
        parameters.instructions,
        purchase,
        pixel_limit=parameters.ingest.pixel_limit,
        sources=parameters.sources,
        engine=context.engine,
    )


def _refuse_to_spend(context: StageContext, requests: Sequence[InstructionRequest]) -> None:
    """Outside a flow nobody can be asked: what would need a person's word is left to `presel run`."""
    own, purchase = context.parameters.instructions, context.parameters.purchase
    images = read_images(context.input("manifest"))
    with open_ledger(own.ledger) as ledger:
        outlook = purchase_outlook(
            requests,
            images,
            provider=_provider(context),
            ledger=ledger,
            parameters=own,
            purchase=purchase,
            run=context.run_label,
        )
    if outlook.must_ask:
        raise StageRefusedError(
            f"{context.stage} would spend about {dollars(outlook.total.price_usd)}, more than "
            f"purchase.approve_above_usd {dollars(purchase.approve_above_usd)}: `presel run` asks a person first"
        )
