"""`presel plan`: what a run would do and buy, without doing it."""

import pyarrow as pa

from components.ingest.ingest import ingest
from components.ingest.manifest import read_samples
from components.instructions.ledger import open_ledger
from components.instructions.ledger_totals import answered_sample_ids
from components.instructions.missing import pool_refusal, samples_without_instruction
from components.instructions.open_provider import open_provider
from components.parameters import ParameterError, Parameters
from components.plan import plan_run, plan_text
from components.plan_strategies import plan_strategy, strategy_plan_text
from components.progress import no_progress
from components.schemas import CLUSTERS, DIFFICULTY, IMPORTANCE
from components.snapshot import snapshot_sources
from components.storage import read_table
from components.strategies import STRATEGIES
from tasks.versioning import outdated_stages
from tasks.workspace import STATE, Workspace


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
    outdated = outdated_stages(workspace)
    samples = _pool(workspace, parameters, ingested="ingest" not in outdated)
    describe = _plan_presel if parameters.strategy == "presel" else _plan_other
    try:
        return describe(workspace, parameters, samples), outdated
    except ValueError as error:
        # The parameters are possible, but not for this pool: a budget smaller than the reference set, for example.
        raise ParameterError(str(error)) from error


def _plan_presel(workspace: Workspace, parameters: Parameters, samples: pa.Table) -> str:
    with open_ledger(parameters.instructions.ledger) as ledger:
        bought = answered_sample_ids(ledger)
    plan = plan_run(
        samples,
        budget=parameters.budget,
        reference_share=parameters.reference.share,
        seed=parameters.seed,
        rounding=parameters.allocate.rounding,
        price_per_instruction_usd=parameters.instructions.price_per_instruction_usd,
        baselines=parameters.baselines,
        bought=bought,
        importance=_earlier(workspace, "scores/importance.parquet", IMPORTANCE),
        clusters=_earlier(workspace, "clusters/clusters.parquet", CLUSTERS),
    )
    return plan_text(plan)


def _plan_other(workspace: Workspace, parameters: Parameters, samples: pa.Table) -> str:
    own, strategy = parameters.instructions, parameters.strategy
    provider = open_provider(own)
    with open_ledger(own.ledger) as ledger:
        missing = samples_without_instruction(samples, provider=provider, ledger=ledger)
    refusal = ""
    if missing and STRATEGIES[strategy].reads_pool_instructions:
        refusal = pool_refusal(
            strategy=strategy,
            missing=len(missing),
            pool=samples.num_rows,
            price_per_instruction_usd=own.price_per_instruction_usd,
            provider=provider.name,
        )
    plan = plan_strategy(
        samples,
        strategy=strategy,
        budget=parameters.budget,
        seed=parameters.seed,
        price_per_instruction_usd=own.price_per_instruction_usd,
        missing=frozenset(missing),
        refusal=refusal,
        difficulty=_earlier(workspace, "influence/difficulty.parquet", DIFFICULTY),
        tive_rounding=parameters.tive.rounding,
    )
    return strategy_plan_text(plan)


def _pool(workspace: Workspace, parameters: Parameters, *, ingested: bool) -> pa.Table:
    snapshot = workspace.artifact("inputs") / "sources.json"
    manifest = workspace.artifact("manifest")
    known = snapshot.exists() and snapshot.read_text(encoding="utf-8") == snapshot_sources(parameters.sources)
    if known and ingested:
        return read_samples(manifest)
    options, state = parameters.ingest, STATE / "known-images.parquet"
    return ingest(parameters.sources, options, known_images=state, progress=no_progress).samples


def _earlier(workspace: Workspace, name: str, schema: pa.Schema) -> pa.Table | None:
    """Of this workspace, else of the project's own; `plan_run` ignores what does not fit the pool."""
    for path in (workspace.artifact(name), Workspace(".").artifact(name)):
        if path.exists():
            return read_table(path, schema)
    return None
