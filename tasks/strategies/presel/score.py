"""Stage score: Instruction Relevance Score of the reference samples, importance of the tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from components.pool.manifest import read_samples
from components.schemas import IMPORTANCE, INSTRUCTIONS, SCORES
from components.storage import fresh_directory, read_table, write_table
from components.strategies.presel.reference_model import join_scores, read_decision, scores_that_hold
from components.strategies.presel.task_importance import task_importance
from components.training_set.assemble import assemble_training_set
from components.training_set.formats import training_samples
from tasks.bodies.tables import write_dropped
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable

if TYPE_CHECKING:
    from components.models.scoring.instruction_relevance_score import ScoreResult


def _nothing(directory: Path) -> None:
    write_table(directory / "scores.parquet", SCORES.empty_table())


def _tables(directory: Path) -> list[StageTable]:
    importance = read_table(directory / "importance.parquet", IMPORTANCE)
    rows = tuple((row["task"], row["samples"], row["score"], row["weight"]) for row in importance.to_pylist())
    columns = ("task", "samples", "mean relevance score (lower: more important)", "weight")
    return [StageTable("importance", "Importance of the tasks", columns, rows, followed=True)]


@stage(
    "Instruction Relevance Score per reference sample, importance per task (Eq. 1-5)",
    reads=(
        "earlier/instructions/reference",
        "earlier/scores",
        "inputs/vlm.json",
        "instructions/reference",
        "manifest/samples.parquet",
        "reference_model",
    ),
    parameters=("vlm", "ingest.pixel_limit"),
    writes="scores",
    uses="gpu",
    memory=("score.batch_size", "vlm.context_length"),
    nothing=_nothing,
    tables=_tables,
)
def score(context: StageContext) -> StageSummary:
    """Score the reference set with the reference model; what it has scored before is not scored again."""
    instructions = read_table(context.input("instructions/reference") / "instructions.parquet", INSTRUCTIONS)
    kept = _kept_scores(context, instructions)
    result = _score_others(context, instructions, kept)
    table = join_scores(kept, result.scores)
    scores = table["instruction_relevance_score"].to_numpy()
    importance = task_importance(table["task"].to_pylist(), scores)
    rows = [(item.task, item.samples, item.score, item.weight) for item in importance]
    with fresh_directory(context.output) as directory:
        write_table(directory / "scores.parquet", table)
        write_table(directory / "importance.parquet", pa.table(list(zip(*rows, strict=True)), schema=IMPORTANCE))
        write_dropped(directory, result.dropped)
    metrics = tuple((f"importance/{item.task}", item.weight) for item in importance)
    note = f"{len(scores):,} samples ({kept.num_rows:,} scored before), {len(result.dropped):,} left out"
    counts = (("mean_irs", float(scores.mean())), ("scored", result.scores.num_rows), ("scores_kept", kept.num_rows))
    return StageSummary(len(scores), f"{note}, mean IRS {scores.mean():.3f}", (*counts, *metrics))


def _kept_scores(context: StageContext, instructions: pa.Table) -> pa.Table:
    """Scores of an earlier curation with this very reference model."""
    if read_decision(context.input("reference_model")).retune:
        return SCORES.empty_table()
    earlier = context.input("earlier")
    return scores_that_hold(
        read_table(earlier / "scores/scores.parquet", SCORES),
        read_table(earlier / "instructions/reference/instructions.parquet", INSTRUCTIONS),
        instructions,
    )


def _score_others(context: StageContext, instructions: pa.Table, kept: pa.Table) -> "ScoreResult":
    # These import torch, which a cached run does without.
    from components.models.scoring.instruction_relevance_score import ScoreResult, score_samples
    from components.models.vlm.source import VlmFiles

    left = instructions.filter(
        pc.invert(pc.is_in(instructions["sample_id"], value_set=kept["sample_id"].combine_chunks()))
    )
    if not left.num_rows:
        return ScoreResult(SCORES.empty_table(), ())
    parameters, pool = context.parameters, read_samples(context.input("manifest"))
    return score_samples(
        VlmFiles(parameters.vlm, context.input("reference_model") / "adapter"),
        training_samples(assemble_training_set(pool, (("reference", left),))),
        batch_size=parameters.score.batch_size,
        pixel_limit=parameters.ingest.pixel_limit,
        progress=context.progress("scored samples:"),
        engine=context.engine,
    )
