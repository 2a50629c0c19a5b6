"""`presel plan`: what a run would do and buy, without doing it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.compute.progress import no_progress
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.missing import pool_refusal, samples_bought, samples_without_instruction
from components.instructions.open_provider import open_provider
from components.instructions.spending.costs import cost_lines, purchase_costs
from components.instructions.spending.estimate import UnitCost, provider_price, unit_costs
from components.money import dollars
from components.parameters.instructions import Price
from components.parameters.parameters import ParameterError, Parameters
from components.pool.ingest import ingest
from components.pool.manifest import read_images, read_quarantine, read_samples
from components.recuration.kept_quotas import kept_ids
from components.recuration.outlook import recuration_outlook
from components.recuration.pool_changes import pool_changes
from components.schemas import ATTEMPT_ROWS, CHOSEN, CLUSTERS, DIFFICULTY, IMPORTANCE, SELECTION
from components.selection.budget import parse_budget
from components.storage import read_table
from components.strategies.load import load_strategy
from components.strategies.plan import plan_run, plan_text
from components.strategies.plan_strategies import plan_strategy, strategy_plan_text
from components.strategies.tive.parameters import TiveParameters
from tasks.platform.finished import last_finished
from tasks.platform.snapshot import changed_inputs, snapshot_file
from tasks.platform.versioning import outdated_stages
from tasks.platform.workspace import STATE, Workspace


@dataclass(frozen=True, slots=True)
class Pool:
    """Samples, images and quarantine of the manifest, as it is or as ingest would make it."""

    samples: pa.Table
    images: pa.Table
    quarantine: pa.Table


def plan_workspace(workspace: Workspace) -> tuple[str, tuple[str, ...]]:
    """Work out what a run would take.

    Images are checked as ingest does when the sources changed since the last run; that costs nothing but time, and
    what is found out about them is remembered for the run.

    Args:
        workspace: with its parameters.

    Returns:
        The plan in words and numbers, and the stages that are not up to date, in order.
    """
    parameters = workspace.parameters()
    # A workspace that never ran has all its stages ahead, whatever its inputs are.
    changed = changed_inputs(workspace) if snapshot_file(workspace, "sources").exists() else ()
    outdated = outdated_stages(workspace, changed=[snapshot_file(workspace, name) for name in changed])
    describe = _plan_presel if parameters.strategy == "presel" else _plan_other
    try:
        price = provider_price(parameters.instructions, parameters.purchase)
        pool = _pool(workspace, parameters, ingested="ingest" not in outdated)
        units = unit_costs(pool.samples, pool.images, parameters=parameters.instructions, price=price)
        said = [
            describe(workspace, parameters, pool.samples, units),
            *_about_recuration(workspace, parameters, pool),
            *_about_money(parameters, units, price),
        ]
        return "\n".join([*said, *_bought(workspace, parameters, pool)]), outdated
    except ValueError as error:
        # The parameters are possible, but not for this pool: a budget smaller than the reference set, for example.
        raise ParameterError(str(error)) from error


def _plan_presel(workspace: Workspace, parameters: Parameters, samples: pa.Table, units: Mapping[str, UnitCost]) -> str:
    own = parameters.instructions
    provider = open_provider(own, parameters.purchase, pixel_limit=parameters.ingest.pixel_limit)
    with open_ledger(own.ledger) as ledger:
        bought = samples_bought(samples, provider=provider, ledger=ledger)
    plan = plan_run(
        samples,
        budget=parameters.budget,
        reference_share=parameters.reference.share,
        seed=parameters.seed,
        rounding=parameters.allocate.rounding,
        price_per_instruction_usd=parameters.instructions.price_per_instruction_usd,
        unit_costs=units,
        baselines=parameters.baselines,
        bought=bought,
        importance=_earlier(workspace, "scores/importance.parquet", IMPORTANCE, own_only=not _scored_alike(parameters)),
        clusters=_earlier(workspace, "clusters/clusters.parquet", CLUSTERS),
    )
    limit = parameters.purchase.spend_at_most_usd
    if provider_price(own, parameters.purchase) is None or plan.cost_at_most_usd + plan.baselines_at_most_usd <= limit:
        return plan_text(plan)
    return (
        f"{plan_text(plan)}\nThat can come to more than purchase.spend_at_most_usd ({dollars(limit)}), where a run "
        "stops with everything kept: raise it, or lower the budget."
    )


def _plan_other(workspace: Workspace, parameters: Parameters, samples: pa.Table, units: Mapping[str, UnitCost]) -> str:
    own, strategy = parameters.instructions, parameters.strategy
    provider = open_provider(own, parameters.purchase, pixel_limit=parameters.ingest.pixel_limit)
    with open_ledger(own.ledger) as ledger:
        missing = samples_without_instruction(samples, provider=provider, ledger=ledger)
    refusal = ""
    if missing and load_strategy(strategy).reads_pool_instructions:
        refusal = pool_refusal(
            strategy=strategy,
            missing=len(missing),
            pool=samples.num_rows,
            price_usd=_price_of(missing, samples, units),
            provider=provider.name,
        )
    plan = plan_strategy(
        samples,
        strategy=strategy,
        budget=parameters.budget,
        seed=parameters.seed,
        price_per_instruction_usd=own.price_per_instruction_usd,
        unit_costs=units,
        missing=frozenset(missing),
        refusal=refusal,
        difficulty=_earlier(workspace, "influence/difficulty.parquet", DIFFICULTY),
        tive_rounding=parameters.section(TiveParameters).rounding,
    )
    return strategy_plan_text(plan)


def _about_recuration(workspace: Workspace, parameters: Parameters, pool: Pool) -> Iterator[str]:
    """What going on from the last curation would keep, where the pool is another one now."""
    earlier = workspace.artifact("manifest")
    if last_finished(workspace) is None or not load_strategy(parameters.strategy).can_recurate:
        return
    changes = pool_changes(read_samples(earlier), pool.samples, pool.quarantine)
    if changes.new or changes.gone:
        reference = read_table(workspace.artifact("reference") / "reference.parquet", CHOSEN)
        selection = read_table(workspace.artifact("selection") / "selection.parquet", SELECTION)
        yield recuration_outlook(
            pool.samples,
            changes,
            reference=frozenset(reference["sample_id"].to_pylist()),
            picked=frozenset(kept_ids(selection).to_pylist()),
            budget=parameters.budget,
            share=parameters.reference.share,
            seed=parameters.seed,
            price_per_instruction_usd=parameters.instructions.price_per_instruction_usd,
        ).sentence


def _about_money(parameters: Parameters, units: Mapping[str, UnitCost], price: Price | None) -> Iterator[str]:
    """What the estimate rests on, and what else limits the spending."""
    own, purchase = parameters.instructions, parameters.purchase
    if price is None:
        return
    batch = f", {price.batch_factor:g} of that in a batch" if own.provider == "batch" else ""
    yield (
        f"Estimated from the prompt templates in {own.prompts} and the images' sizes, with the price of {price.model} "
        f"as of {price.as_of}: ${price.input_usd:g} and ${price.output_usd:g} per million tokens in and out{batch}. "
        "Repairs and retries come on top."
    )
    mean = sum(unit.price_usd for unit in units.values()) / len(units)
    set_price = own.price_per_instruction_usd
    if parse_budget(parameters.budget).unit == "dollars" and not 0.8 * mean <= set_price <= 1.25 * mean:
        yield (
            f"The budget in dollars is divided by instructions.price_per_instruction_usd ({set_price:g}), but an "
            f"instruction is estimated at {dollars(mean)}: set it to that."
        )
    yield (
        f"A run stops at purchase.spend_at_most_usd {dollars(purchase.spend_at_most_usd)} and asks a person above "
        f"purchase.approve_above_usd {dollars(purchase.approve_above_usd)}."
    )


def _bought(workspace: Workspace, parameters: Parameters, pool: Pool) -> Iterator[str]:
    """The estimates of what this workspace has bought beside what it came to, and what a kill may have cost."""
    own, purchase = parameters.instructions, parameters.purchase
    with open_ledger(own.ledger) as ledger:
        totals = ledger_totals(ledger)
    if totals.uncertain_usd:
        yield ""
        yield (
            f"In the ledger, of all runs: {totals.uncertain:,} sends without a known outcome, which may have "
            f"been charged up to {dollars(totals.uncertain_usd)}."
        )
    files = sorted(workspace.artifact("instructions").glob("*/attempts.parquet"))
    if not files:
        return
    attempts = pa.concat_tables([read_table(file, ATTEMPT_ROWS) for file in files])
    costs = purchase_costs(attempts, pool.samples, pool.images, parameters=own, purchase=purchase)
    if pc.sum(costs["input_tokens"]).as_py():
        yield ""
        yield "Bought so far by the stages that have ended, estimated beside paid:"
        yield from cost_lines(costs)


def _price_of(missing: Sequence[str], samples: pa.Table, units: Mapping[str, UnitCost]) -> float:
    tasks = samples.filter(pc.is_in(samples["sample_id"], value_set=pa.array(missing, pa.string())))["task"]
    return sum(units[task].price_usd for task in tasks.to_pylist())


def _pool(workspace: Workspace, parameters: Parameters, *, ingested: bool) -> Pool:
    manifest = workspace.artifact("manifest")
    if ingested:
        return Pool(read_samples(manifest), read_images(manifest), read_quarantine(manifest))
    options, state = parameters.ingest, STATE / "known-images.parquet"
    found = ingest(parameters.sources, options, known_images=state, progress=no_progress)
    return Pool(found.samples, found.images, found.quarantine)


def _scored_alike(parameters: Parameters) -> bool:
    """Whether the project's own run scores as this one will: by the same model, on instructions of the same origin."""
    project = Workspace(".").parameters()
    sections = ("instructions", "vlm", "reference", "reference_tune", "tuning", "seed")
    return all(getattr(project, name) == getattr(parameters, name) for name in sections)


def _earlier(workspace: Workspace, name: str, schema: pa.Schema, *, own_only: bool = False) -> pa.Table | None:
    """Of this workspace, else of the project's own; `plan_run` ignores what does not fit the pool."""
    places = [workspace] if own_only else [workspace, Workspace(".")]
    for path in (place.artifact(name) for place in places):
        if path.exists():
            return read_table(path, schema)
    return None
