"""What the report shows, read from the artifacts of one workspace."""

from functools import lru_cache

import pyarrow as pa
import yaml

from components import schemas
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.spending.costs import control_costs, paid_costs, purchase_costs
from components.instructions.spending.estimate import provider_price
from components.models.embedding.vector_store import encoder_fingerprint, read_vectors
from components.models.features.feature_store import read_features
from components.pool.manifest import read_images, read_samples
from components.recuration.pool_changes import pool_changes
from components.recuration.reference_model import read_decision
from components.report.inputs import (
    BenchmarkRun,
    CoincideEvidence,
    Costs,
    DropCount,
    InstructionTable,
    MapCoordinates,
    Purchase,
    RecurationEvidence,
    ReportInputs,
    TiveEvidence,
    TrainingRun,
)
from components.selection.budget import budget_text, parse_budget
from components.selection.map_2d import project_to_plane
from components.storage import read_table
from components.strategies.load import load_strategy
from components.strategies.tive.parameters import TiveParameters
from tasks.platform.report_lineage import report_lineage
from tasks.platform.stage import StageContext

# Artifacts with a dropped.parquet, in the order of the stages; a strategy has some of them.
STAGES_THAT_DROP = (
    "vectors",
    "instructions/reference",
    "instructions/pool",
    "reference_model",
    "warm_up_model",
    "scores",
    "gradients",
    "activations",
    "instructions/selection",
    "model",
)


def load_report_inputs(context: StageContext) -> ReportInputs:
    """Read everything the report shows; every model name in `baselines` must have been benchmarked."""
    parameters = context.parameters
    strategy = load_strategy(parameters.strategy)
    models = ("base", "tuned", *parameters.baselines)
    origins = (*dict.fromkeys((*strategy.needed_origins, *strategy.instruction_origins)), *parameters.baselines)
    instructions = tuple(
        InstructionTable(
            origin,
            _table(context, f"instructions/{origin}/instructions.parquet", schemas.INSTRUCTIONS),
            _table(context, f"instructions/{origin}/attempts.parquet", schemas.ATTEMPT_ROWS),
        )
        for origin in origins
    )
    samples = read_samples(context.input("manifest"))
    selection = _table(context, "selection/selection.parquet", schemas.SELECTION)
    return ReportInputs(
        samples=samples,
        quarantine=_table(context, "manifest/quarantine.parquet", schemas.QUARANTINE),
        reference=_own_table(context, "reference/reference.parquet", schemas.CHOSEN),
        scores=_own_table(context, "scores/scores.parquet", schemas.SCORES),
        importance=_own_table(context, "scores/importance.parquet", schemas.IMPORTANCE),
        clusters=_own_table(context, "clusters/clusters.parquet", schemas.CLUSTERS),
        allocation=_own_table(context, "allocation/allocation.parquet", schemas.ALLOCATION),
        selection=selection,
        training_set=_table(context, "training_set/samples.parquet", schemas.TRAINING_SAMPLES),
        instructions=instructions,
        training_runs=tuple(
            TrainingRun(name, _table(context, f"{directory}/training_log.parquet", schemas.TRAINING_LOG))
            for name, directory in (
                ("reference", "reference_model"),
                ("warm_up", "warm_up_model"),
                ("tuned", "model"),
            )
            if directory in _own_artifacts(context)
        ),
        benchmarks=tuple(
            BenchmarkRun(
                name,
                _table(context, f"benchmark/{name}/metrics.parquet", schemas.METRICS),
                _table(context, f"benchmark/{name}/predictions.parquet", schemas.PREDICTIONS),
            )
            for name in models
        ),
        costs=_costs(context, samples, instructions),
        lineage=report_lineage(
            context, selection, {part.origin: part.table for part in instructions if part.table.num_rows}
        ),
        drops=_drops(context),
        map_coordinates=_map(context, selection),
        strategy=parameters.strategy,
        budget=budget_text(parse_budget(parameters.budget)),
        tive=_tive(context),
        coincide=_coincide(context),
        recuration=_recuration(context, samples),
    )


def _own_artifacts(context: StageContext) -> frozenset[str]:
    """The artifacts of the workspace's own pipeline: those that an earlier strategy left there are not read."""
    return _outputs_of(context.workspace.pipeline_file.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _outputs_of(pipeline: str) -> frozenset[str]:
    stages = yaml.safe_load(pipeline)["stages"].values()
    outputs = [next(iter(out)) if isinstance(out, dict) else out for stage in stages for out in stage.get("outs", ())]
    return frozenset(output.removeprefix("data/") for output in outputs)


def _own_table(context: StageContext, name: str, schema: pa.Schema) -> pa.Table:
    """A table of the strategy, without rows where it has none."""
    artifact = name.rpartition("/")[0]
    return _table(context, name, schema) if artifact in _own_artifacts(context) else schema.empty_table()


def _tive(context: StageContext) -> TiveEvidence | None:
    if context.parameters.strategy != "tive":
        return None
    return TiveEvidence(
        warm_up=_table(context, "warm_up/warm_up.parquet", schemas.CHOSEN),
        influence=_table(context, "influence/influence.parquet", schemas.INFLUENCE),
        difficulty=_table(context, "influence/difficulty.parquet", schemas.DIFFICULTY),
        sampling_q=context.parameters.section(TiveParameters).sampling_q,
    )


def _coincide(context: StageContext) -> CoincideEvidence | None:
    if context.parameters.strategy != "coincide":
        return None
    return CoincideEvidence(_table(context, "concept_shares/shares.parquet", schemas.CONCEPT_SHARES))


def _recuration(context: StageContext, samples: pa.Table) -> RecurationEvidence | None:
    if not load_strategy(context.parameters.strategy).can_recurate:
        return None
    earlier = _table(context, "earlier/manifest/samples.parquet", schemas.SAMPLES)
    if not earlier.num_rows:
        return None
    return RecurationEvidence(
        changes=pool_changes(earlier, samples, _table(context, "manifest/quarantine.parquet", schemas.QUARANTINE)),
        earlier_reference=_table(context, "earlier/reference/reference.parquet", schemas.CHOSEN),
        earlier_selection=_table(context, "earlier/selection/selection.parquet", schemas.SELECTION),
        clustered_tasks=_table(context, "clusters/tasks.parquet", schemas.CLUSTERED_TASKS),
        kept=_table(context, "allocation/kept.parquet", schemas.KEPT_QUOTAS),
        reference_model=read_decision(context.input("reference_model")),
    )


def _table(context: StageContext, name: str, schema: pa.Schema) -> pa.Table:
    return read_table(context.input(name), schema)


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
    return Purchase(by_task, provider_price(own, purchase), in_batches=own.provider == "batch")


def _drops(context: StageContext) -> tuple[DropCount, ...]:
    found = []
    for name in (name for name in STAGES_THAT_DROP if name in _own_artifacts(context)):
        table = _table(context, f"{name}/dropped.parquet", schemas.DROPPED)
        counts = table.group_by("reason").aggregate([("sample_id", "count")]).sort_by("reason")
        found += [DropCount(name, row["reason"], row["sample_id_count"]) for row in counts.to_pylist()]
    return tuple(found)


def _map(context: StageContext, selection: pa.Table) -> MapCoordinates | None:
    parameters, own = context.parameters, _own_artifacts(context)
    # Evenly spaced over the ids, which are hashes: a sample of the pool that is the same every time.
    step = max(1, -(-selection.num_rows // parameters.report.map_points))
    shown = selection.take(list(range(0, selection.num_rows, step)))
    if "vectors" in own:
        encoder = parameters.encoder
        model = encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
        vectors = read_vectors(context.input("vectors"), shown["image_sha"].to_pylist(), model=model)
    elif own & {"gradients", "activations"}:
        store = context.input("gradients" if "gradients" in own else "activations")
        vectors = read_features(store, shown["sample_id"].to_pylist())
    else:
        return None
    return MapCoordinates(tuple(shown["sample_id"].to_pylist()), project_to_plane(vectors, seed=parameters.seed))
