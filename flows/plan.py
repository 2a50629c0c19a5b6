"""`presel plan`: what a run would do and buy, without doing it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.missing import samples_bought, samples_without_instruction
from components.instructions.open_provider import PROVIDERS, open_provider
from components.instructions.spending.costs import cost_lines, purchase_costs
from components.instructions.spending.estimate import UnitCost, provider_price, unit_costs
from components.parameters.instructions import Price
from components.parameters.parameters import ParameterError, Parameters
from components.parameters.reading import merge_overlays
from components.plan.inputs import describe_annotated, describe_inputs, read_inputs
from components.plan.request import PlanRequest, plan_run
from components.pool.account import account_sentence, account_sentences, reason_examples
from components.pool.ingest import ingest
from components.pool.manifest import read_images, read_quarantine, read_records, read_samples
from components.recuration.kept_quotas import kept_ids
from components.recuration.outlook import recuration_outlook
from components.recuration.pool_changes import pool_changes
from components.schemas import ATTEMPT_ROWS, CHOSEN, SELECTION
from components.selection.budget import parse_budget
from components.storage import read_table
from components.strategies.load import load_strategy
from components.strategies.run_files import RunFiles
from components.text import dollars
from flows.model_check import look_at_models
from flows.prepare_workspace import ResolvedWorkspace
from tasks.ingest import ingest as ingest_stage
from tasks.ingest import out_of_place
from tasks.platform.disk_space import disk_shortage
from tasks.platform.finished import last_finished
from tasks.platform.git_record import check_git
from tasks.platform.outdated_stages import OutdatedStage, explain_outdated
from tasks.platform.snapshot import changed_inputs, snapshot_file, take_snapshots
from tasks.platform.workspace import STATE, Workspace


@dataclass(frozen=True, slots=True)
class Pool:
    """What the manifest holds, as it is or as ingest would make it."""

    samples: pa.Table
    images: pa.Table
    quarantine: pa.Table
    records: pa.Table


def plan_workspace(workspace: Workspace) -> tuple[str, tuple[OutdatedStage, ...]]:
    """`plan_resolved` of a workspace that is laid out already."""
    values = merge_overlays(workspace.parameter_file)
    return plan_resolved(ResolvedWorkspace(workspace, workspace.parameters(), values, str(workspace.parameter_file)))


def plan_resolved(resolved: ResolvedWorkspace) -> tuple[str, tuple[OutdatedStage, ...]]:
    """Work out what a run would take; the workspace is neither laid out nor changed.

    Images are checked as ingest does when the sources changed since the last run; that costs nothing but time, and
    what is found out about them is remembered for the run.

    Args:
        resolved: the workspace, with the parameters that a run would have.

    Returns:
        The plan in words and numbers, and the stages that are not up to date and why, in order.
    """
    workspace, parameters = resolved.workspace, resolved.parameters
    check_git(parameters.versioning)
    changes = changed_inputs(workspace, take_snapshots(parameters))
    # A workspace that never ran has all its stages ahead, whatever its inputs are.
    changed = changes if snapshot_file(workspace, "sources").exists() else ()
    inputs_changed = [snapshot_file(workspace, name) for name in changed]
    outdated = explain_outdated(workspace, changed=inputs_changed, planned=resolved.files)
    try:
        price = provider_price(parameters.instructions, parameters.purchase)
        inputs = read_inputs(parameters)
        look_at_models(parameters)
        pool = _pool(workspace, parameters, ingested=ingest_stage.name not in {stage.stage for stage in outdated})
        request = _request(workspace, parameters, pool, price)
        said = [
            _plan_text(request, pool),
            "",
            *describe_inputs(inputs, pool_image_shas=frozenset(pool.samples["image_sha"].to_pylist())),
            *describe_annotated(pool.samples, parameters),
            *account_sentences(pool.records, pool.quarantine),
            *(f"  {line}" for line in reason_examples(pool.quarantine)),
            *_about_recuration(workspace, parameters, pool),
            *_about_money(parameters, request.unit_costs, price),
        ]
        shortage = disk_shortage(workspace, parameters, pool.samples, [stage.stage for stage in outdated])
        too_full = ["", shortage] if shortage else []
        return "\n".join([*said, *_bought(workspace, parameters, pool), *too_full]), outdated
    except ValueError as error:
        # The parameters are possible, but not for this pool: a budget smaller than the reference set, for example.
        raise ParameterError(str(error)) from error


def _request(workspace: Workspace, parameters: Parameters, pool: Pool, price: Price | None) -> PlanRequest:
    own, samples = parameters.instructions, pool.samples
    provider = open_provider(
        own,
        parameters.purchase,
        pixel_limit=parameters.ingest.pixel_limit,
        sources=parameters.sources,
        engine=LocalEngine(),
    )

    def found_by(find: Callable[..., Iterable[str]]) -> frozenset[str]:
        with open_ledger(own.ledger, make=False) as ledger:
            return frozenset(find(samples, provider=provider, ledger=ledger))

    return PlanRequest(
        run=RunFiles(workspace.artifact, parameters),
        project=RunFiles(Workspace(".").artifact, Workspace(".").parameters()),
        samples=samples,
        unit_costs=unit_costs(samples, pool.images, parameters=own, price=price),
        find_bought=lambda: found_by(samples_bought),
        find_missing=lambda: found_by(samples_without_instruction),
        spend_at_most_usd=None if price is None else parameters.purchase.spend_at_most_usd,
    )


def _plan_text(request: PlanRequest, pool: Pool) -> str:
    try:
        return plan_run(request).text()
    except ValueError as error:
        # What is left out may be why: a budget is too small for what remains of the pool.
        raise ParameterError(f"{error} ({account_sentence(pool.records, pool.quarantine)})") from error


def _about_recuration(workspace: Workspace, parameters: Parameters, pool: Pool) -> Iterator[str]:
    """What going on from the last curation would keep, where the pool is another one now."""
    earlier = workspace.artifact("manifest")
    if last_finished(workspace) is None or not load_strategy(parameters.strategy).can_recurate:
        return
    chosen = (
        workspace.artifact("reference") / "reference.parquet",
        workspace.artifact("selection") / "selection.parquet",
    )
    gone = [str(path) for path in (earlier / "samples.parquet", *chosen) if not path.exists()]
    if gone:
        yield f"What a recuration would keep is known when a run has brought {', '.join(gone)} back."
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
    batch = f", {price.batch_factor:g} of that in a batch" if PROVIDERS[own.provider].in_batches else ""
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
    with open_ledger(own.ledger, make=False) as ledger:
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


def _pool(workspace: Workspace, parameters: Parameters, *, ingested: bool) -> Pool:
    manifest = workspace.artifact("manifest")
    if ingested:
        return Pool(read_samples(manifest), read_images(manifest), read_quarantine(manifest), read_records(manifest))
    options, state = parameters.ingest, STATE / "known-images.parquet"
    found = ingest(
        parameters.sources,
        options,
        known_images=state,
        progress=no_progress,
        engine=LocalEngine(),
        out_of_place=partial(out_of_place, parameters.vlm),
    )
    return Pool(found.samples, found.images, found.quarantine, found.records)
