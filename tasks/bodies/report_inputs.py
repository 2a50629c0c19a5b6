"""What the report shows, read from the artifacts of one workspace."""

import hashlib
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from components import schemas
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.open_provider import PROVIDERS
from components.instructions.spending.costs import control_costs, paid_costs, purchase_costs
from components.instructions.spending.estimate import provider_price
from components.lineage.ledger_history import request_histories
from components.lineage.lock_file import parse_lock
from components.lineage.machine import installed_version
from components.lineage.trace_samples import TracedSample, group_by_author, trace_samples
from components.pool.account import account_sentences
from components.pool.manifest import read_images, read_quarantine, read_records, read_samples
from components.report.inputs import (
    BenchmarkRun,
    Costs,
    DropCount,
    InstructionTable,
    Lineage,
    MapCoordinates,
    Purchase,
    ReportInputs,
    TrainingRun,
    Version,
)
from components.report.map import MAP_POINTS, project_to_plane, shown_on_map
from components.report.report import MODEL_NAMES
from components.report.strategy_report import StrategyReport, load_strategy_report
from components.selection.budget import budget_text, parse_budget
from components.storage import read_table
from components.strategies.load import load_strategy
from components.strategies.run_files import RunFiles
from tasks.platform.journal import run_page
from tasks.platform.run_files import git_commit
from tasks.platform.stage_context import StageContext

LIBRARIES = ("torch", "transformers", "peft", "faiss-cpu", "faiss-gpu", "lancedb", "prefect", "dvc", "mlflow")
ARTIFACTS = (
    ("pool", "data/manifest"),
    ("selection", "data/selection"),
    ("training set", "data/training_set"),
    ("adapter", "data/model"),
)
SAMPLES_SHOWN = 200


def load_report_inputs(context: StageContext) -> ReportInputs:
    """Read everything the report shows; every model name in `baselines` must have been benchmarked."""
    parameters = context.parameters
    strategy, report = load_strategy(parameters.strategy), load_strategy_report(parameters.strategy)
    files = RunFiles(context.input, parameters)
    origins = (*dict.fromkeys((*strategy.needed_origins, *strategy.instruction_origins)), *parameters.baselines)
    instructions = tuple(
        InstructionTable(
            origin,
            files.table(f"instructions/{origin}/instructions.parquet", schemas.INSTRUCTIONS),
            files.table(f"instructions/{origin}/attempts.parquet", schemas.ATTEMPT_ROWS),
        )
        for origin in origins
    )
    manifest = context.input("manifest")
    samples, quarantine = read_samples(manifest), read_quarantine(manifest)
    selection = files.table("selection/selection.parquet", schemas.SELECTION)
    return ReportInputs(
        samples=samples,
        quarantine=quarantine,
        reference=files.table("reference/reference.parquet", schemas.CHOSEN)
        if strategy.has_reference_set
        else schemas.CHOSEN.empty_table(),
        selection=selection,
        instructions=instructions,
        training_runs=_training_runs(files, report),
        benchmarks=tuple(
            BenchmarkRun(
                name,
                files.table(f"benchmark/{name}/metrics.parquet", schemas.METRICS),
                files.table(f"benchmark/{name}/predictions.parquet", schemas.PREDICTIONS),
            )
            for name in ("base", "tuned", *parameters.baselines)
        ),
        costs=_costs(context, samples, instructions),
        lineage=report_lineage(
            context, selection, {part.origin: part.table for part in instructions if part.table.num_rows}
        ),
        strategy=report,
        evidence=report.evidence(files),
        drops=_drops(context),
        records=account_sentences(read_records(manifest), quarantine),
        map_coordinates=_map(files, report, selection),
        budget=budget_text(parse_budget(parameters.budget)),
    )


def _training_runs(files: RunFiles, report: StrategyReport) -> tuple[TrainingRun, ...]:
    own, title = report.own_model
    tunes = (("own", own, title), ("tuned", "model", MODEL_NAMES["tuned"]))
    return tuple(
        TrainingRun(key, name, files.table(f"{artifact}/training_log.parquet", schemas.TRAINING_LOG))
        for key, artifact, name in tunes
        if artifact
    )


def _costs(context: StageContext, samples: pa.Table, instructions: tuple[InstructionTable, ...]) -> Costs:
    own, purchase = context.parameters.instructions, context.parameters.purchase
    with open_ledger(own.ledger) as ledger:
        to_date = ledger_totals(ledger)
    needed = load_strategy(context.parameters.strategy).needed_origins
    bought = pa.concat_tables([part.table for part in instructions if part.origin in needed])
    sends = pa.concat_tables([part.attempts for part in instructions if part.origin in needed])
    paid = paid_costs(
        sends,
        bought,
        pool=samples.num_rows,
        parameters=own,
        purchase=purchase,
    )
    return Costs(
        instructions=bought.num_rows,
        spent_usd=paid.spent_usd,
        all_instructions=samples.num_rows,
        all_usd=paid.whole_pool_usd,
        price_per_instruction_usd=paid.price_per_instruction_usd,
        instructions_to_date=to_date.answered,
        to_date_usd=to_date.price_usd,
        purchase=_purchase(context, samples, instructions),
        to_date_uncertain_usd=to_date.uncertain_usd,
        controls_usd=control_costs(pa.concat_tables([part.attempts for part in instructions]), sends).spent_usd,
    )


def _purchase(context: StageContext, samples: pa.Table, instructions: tuple[InstructionTable, ...]) -> Purchase:
    own, purchase = context.parameters.instructions, context.parameters.purchase
    by_task = purchase_costs(
        pa.concat_tables([part.attempts for part in instructions]),
        samples,
        read_images(context.input("manifest")),
        parameters=own,
        purchase=purchase,
    )
    return Purchase(by_task, provider_price(own, purchase), in_batches=PROVIDERS[own.provider].in_batches)


def _drops(context: StageContext) -> tuple[DropCount, ...]:
    """What was left out: by the choice, by the purchases, by the final tune."""
    strategy = load_strategy(context.parameters.strategy)
    bought = [f"instructions/{origin}" for origin in (*strategy.needed_origins, *strategy.instruction_origins)]
    found = []
    for name in dict.fromkeys((*strategy.evidence, *bought, *context.reads)):
        file = context.input(name) / "dropped.parquet"
        if file.exists():
            counts = read_table(file, schemas.DROPPED).group_by("reason").aggregate([("sample_id", "count")])
            found += [
                DropCount(name, row["reason"], row["sample_id_count"]) for row in counts.sort_by("reason").to_pylist()
            ]
    return tuple(found)


def _map(files: RunFiles, report: StrategyReport, selection: pa.Table) -> MapCoordinates | None:
    if report.map_vectors is None:
        return None
    shown = selection.take(shown_on_map(selection["sample_id"].to_pylist(), MAP_POINTS))
    points = project_to_plane(report.map_vectors(files, shown), seed=files.parameters.seed)
    return MapCoordinates(tuple(shown["sample_id"].to_pylist()), points)


def report_lineage(context: StageContext, selection: pa.Table, instructions: Mapping[str, pa.Table]) -> Lineage:
    """Walk the run's training set back.

    Args:
        context: of the stage report.
        selection: columns of `components.schemas.SELECTION`.
        instructions: columns of `components.schemas.INSTRUCTIONS`, by origin.
    """
    from prefect.context import FlowRunContext
    from prefect.utilities.urls import url_for

    commit = git_commit()
    lock = context.workspace.lock_file
    flow_context = FlowRunContext.get()
    flow_run = flow_context.flow_run if flow_context else None
    run_id = context.tracker.parent_run_id
    samples = _traced(context, selection, instructions)
    return Lineage(
        created_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        git_commit=commit.removesuffix("-dirty"),
        git_dirty=commit.endswith("-dirty"),
        dvc_lock_digest=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "",
        flow_run_id=str(flow_run.id) if flow_run else "",
        flow_run_name=flow_run.name if flow_run else "",
        flow_run_url=(url_for("flow-run", obj_id=flow_run.id) or "") if flow_run else "",
        mlflow_run_url="" if run_id is None else run_page(run_id),
        versions=(
            Version("python", platform.python_version()),
            *(Version(name, found) for name in LIBRARIES if (found := installed_version(name)) is not None),
            Version("encoder", context.parameters.encoder.model),
            Version("vision-language model", context.parameters.vlm.model),
        ),
        parameters=Path(context.workspace.parameter_file).read_text(encoding="utf-8"),
        artifacts=_artifacts(lock),
        authors=group_by_author(samples),
        samples=samples[:SAMPLES_SHOWN],
        all_samples=len(samples),
    )


def _traced(
    context: StageContext, selection: pa.Table, instructions: Mapping[str, pa.Table]
) -> tuple[TracedSample, ...]:
    training_set = read_table(context.input("training_set") / "samples.parquet", schemas.TRAINING_SAMPLES)
    ids = [one for table in instructions.values() for one in table["request_id"].to_pylist()]
    with open_ledger(context.parameters.instructions.ledger) as ledger:
        histories = request_histories(ledger, ids)
    return trace_samples(training_set, selection, instructions, histories)


def _artifacts(lock: Path) -> tuple[Version, ...]:
    """Versions as dvc.lock has them, which every stage before this one has written."""
    if not lock.exists():
        return ()
    written = {out.path: out.md5 for stage in parse_lock(lock.read_text(encoding="utf-8")) for out in stage.writes}
    return tuple(Version(name, written[path].removesuffix(".dir")) for name, path in ARTIFACTS if path in written)
