"""`presel plan`: what a run would do and buy, without doing it."""

import pyarrow as pa

from components.ingest.ingest import ingest
from components.ingest.manifest import read_samples
from components.instructions.ledger import open_ledger
from components.instructions.ledger_totals import answered_sample_ids
from components.parameters import ParameterError, Parameters
from components.plan import RunPlan, plan_run
from components.progress import no_progress
from components.schemas import CLUSTERS, IMPORTANCE
from components.snapshot import snapshot_sources
from components.storage import read_table
from tasks.versioning import outdated_stages
from tasks.workspace import STATE, Workspace


def plan_workspace(workspace: Workspace) -> tuple[RunPlan, tuple[str, ...]]:
    """Work out what a run would take.

    Images are checked as ingest does when the sources changed since the last run; that costs nothing but time, and
    what is found out about them is remembered for the run.

    Args:
        workspace: with its parameters.

    Returns:
        The plan, and the stages that are not up to date, in order.
    """
    parameters = workspace.parameters()
    outdated = outdated_stages(workspace)
    samples = _pool(workspace, parameters, ingested="ingest" not in outdated)
    with open_ledger(parameters.instructions.ledger) as ledger:
        bought = answered_sample_ids(ledger)
    try:
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
    except ValueError as error:
        # The parameters are possible, but not for this pool: a budget smaller than the reference set, for example.
        raise ParameterError(str(error)) from error
    return plan, outdated


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
