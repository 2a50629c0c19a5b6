"""Stage score: Instruction Relevance Score of the reference samples, importance of the tasks."""

import pyarrow as pa

from components.assemble import assemble_training_set
from components.ingest.manifest import read_samples
from components.schemas import IMPORTANCE, INSTRUCTIONS
from components.selection.task_importance import task_importance
from components.storage import fresh_directory, read_table, write_table
from components.training_formats import training_samples
from tasks.stage import StageContext, StageSummary, stage_task
from tasks.tables import write_dropped


@stage_task("score")
def score(context: StageContext) -> StageSummary:
    """Score the reference set with the reference model."""
    # These import torch, which a cached run does without.
    from components.scoring.instruction_relevance_score import score_samples
    from components.vlm.load import load_vlm

    parameters = context.parameters
    instructions = read_table(context.input("instructions/reference") / "instructions.parquet", INSTRUCTIONS)
    pool = read_samples(context.input("manifest"))
    result = score_samples(
        load_vlm(parameters.vlm, adapter=context.input("reference_model") / "adapter"),
        training_samples(assemble_training_set(pool, (("reference", instructions),))),
        batch_size=parameters.score.batch_size,
        pixel_limit=parameters.ingest.pixel_limit,
        progress=context.progress("scored samples:"),
    )
    scores = result.scores["instruction_relevance_score"].to_numpy()
    importance = task_importance(result.scores["task"].to_pylist(), scores)
    rows = [(item.task, item.samples, item.score, item.weight) for item in importance]
    with fresh_directory(context.output) as directory:
        write_table(directory / "scores.parquet", result.scores)
        write_table(directory / "importance.parquet", pa.table(list(zip(*rows, strict=True)), schema=IMPORTANCE))
        write_dropped(directory, result.dropped)
    metrics = tuple((f"importance/{item.task}", item.weight) for item in importance)
    note = f"{len(scores):,} samples scored, {len(result.dropped):,} left out, mean IRS {scores.mean():.3f}"
    return StageSummary(len(scores), note, (("mean_irs", float(scores.mean())), *metrics))
