"""Stages instruct: instructions for chosen samples, and for no other."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.manifest import read_samples
from components.instructions.buy import buy_instructions
from components.instructions.ledger import open_ledger
from components.instructions.missing import pool_refusal, samples_without_instruction
from components.instructions.open_provider import open_provider
from components.instructions.request import requests_for_samples
from components.schemas import CHOSEN, SELECTION
from components.storage import fresh_directory, read_table, write_table
from tasks.stage import StageContext, StageRefusedError, StageSummary, stage_task
from tasks.tables import write_dropped


@stage_task("instruct_reference", retries=2)
def instruct_reference(context: StageContext) -> StageSummary:
    """Instructions of the reference set."""
    return _instruct(context, read_table(context.input("reference") / "reference.parquet", CHOSEN))


@stage_task("instruct_pool", retries=2)
def instruct_pool(context: StageContext) -> StageSummary:
    """Instructions of the whole pool, for the strategies that read them all."""
    samples = read_samples(context.input("manifest"))
    if not context.annotate_pool:
        _refuse_to_buy(context, samples)
    return _instruct(context, samples)


@stage_task("instruct_selection", retries=2)
def instruct_selection(context: StageContext) -> StageSummary:
    """Instructions of the picked images."""
    selection = read_table(context.input("selection") / "selection.parquet", SELECTION)
    return _instruct(context, selection.filter(pc.field("picked")))


@stage_task("baseline_instruct", retries=2)
def baseline_instruct(context: StageContext) -> StageSummary:
    """Instructions of a control."""
    return _instruct(context, read_table(_chosen_file(context), CHOSEN))


def _instruct(context: StageContext, chosen: pa.Table) -> StageSummary:
    parameters = context.parameters.instructions
    samples = read_samples(context.input("manifest"))
    with open_ledger(parameters.ledger) as ledger:
        result = buy_instructions(
            requests_for_samples(samples, chosen["sample_id"].to_pylist()),
            provider=open_provider(parameters),
            ledger=ledger,
            progress=context.progress("instructions:"),
            run=context.tracker.parent_run_id or "",
        )
    with fresh_directory(context.output) as directory:
        write_table(directory / "instructions.parquet", result.instructions)
        write_dropped(directory, result.dropped)
    rows, cost = result.instructions.num_rows, pc.sum(result.instructions["price_usd"]).as_py() or 0.0
    return StageSummary(
        rows,
        f"{rows:,} instructions for ${cost:,.2f}, {len(result.dropped):,} dropped",
        (("instructions", rows), ("cost_usd", cost), ("dropped", len(result.dropped))),
    )


def _refuse_to_buy(context: StageContext, samples: pa.Table) -> None:
    parameters = context.parameters.instructions
    provider = open_provider(parameters)
    with open_ledger(parameters.ledger) as ledger:
        missing = samples_without_instruction(samples, provider=provider, ledger=ledger)
    if missing:
        raise StageRefusedError(
            pool_refusal(
                strategy=context.parameters.strategy,
                missing=len(missing),
                pool=samples.num_rows,
                price_per_instruction_usd=parameters.price_per_instruction_usd,
                provider=provider.name,
            )
        )


def _chosen_file(context: StageContext) -> Path:
    return context.input(f"baseline_selection/{context.item}") / "chosen.parquet"
