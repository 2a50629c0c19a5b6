"""LoRA tuning on samples with their instructions: what the stages that tune have in common."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from components.compute.ray_engine import RayEngine
from components.models.training.adapter_size import adapter_bytes, checkpoint_bytes
from components.models.training.training_log import TrainingLogRow
from components.parameters.parameters import WHO_TUNES, EpochParameters, Parameters, TuningParameters
from components.pool.manifest import read_samples
from components.pool.samples import InstructedImage
from components.schemas import INSTRUCTIONS
from components.selection.budget import parse_budget, resolve_budget
from components.storage import fresh_directory, read_table, write_table
from components.training_set.assemble import assemble_training_set
from components.training_set.formats import training_samples
from tasks.bodies.tables import write_dropped
from tasks.platform.stage_context import StageContext, StageSummary

# What every tune depends on, beside how long it lasts; with these the model's snapshot, `inputs/vlm.json`.
TUNING_PARAMETERS = (
    "vlm",
    *(f"tuning.{name}" for name in TuningParameters.model_fields if name not in WHO_TUNES),
    "seed",
    "ingest.pixel_limit",
)
TUNING_MEMORY = ("tuning.batch_size", "vlm.context_length")


def adapter_disk(_samples: pa.Table, parameters: Parameters, _directory: Path) -> int:
    """Bytes of what a tune makes."""
    return adapter_bytes(parameters.vlm, parameters.tuning)


def final_checkpoints(samples: pa.Table, parameters: Parameters) -> int:
    """Bytes of the checkpoints of a tune on all that the budget allows; 0 where it is in dollars, as prices differ."""
    budget = parse_budget(parameters.budget)
    if budget.unit == "dollars":
        return 0
    trained = min(samples.num_rows, resolve_budget(budget, pool_size=samples.num_rows, dollars_per_image=0))
    return checkpoint_bytes(parameters.vlm, parameters.tuning, samples=trained, epochs=parameters.final_tune.epochs)


def tune_samples(
    context: StageContext,
    samples: tuple[InstructedImage, ...],
    duration: EpochParameters,
    *,
    beside: Callable[[Path], None] = lambda _: None,
) -> StageSummary:
    """Tune on samples.

    Args:
        context: of the stage.
        samples: what to train on.
        duration: passes over them.
        beside: writes what else belongs into the artifact, given its directory.
    """
    from components.models.training.tune import tune as tune_adapter  # imports torch, which a cached run does without

    def on_log(row: TrainingLogRow) -> None:
        names = ("loss", "learning_rate", "gradient_norm", "samples_per_second")
        context.tracker.log_metrics([(name, getattr(row, name)) for name in names], step=row.step)
        progress(round(row.epoch * len(samples)), round(duration.epochs * len(samples)))

    parameters, progress = context.parameters, context.progress("trained on samples:")
    with fresh_directory(context.output) as directory:
        result = tune_adapter(
            samples,
            directory / "adapter",
            vlm=parameters.vlm,
            tuning=parameters.tuning,
            epochs=duration.epochs,
            seed=parameters.seed,
            pixel_limit=parameters.ingest.pixel_limit,
            checkpoint_directory=context.scratch,
            on_log=on_log,
            cluster=context.engine if isinstance(context.engine, RayEngine) else None,
        )
        write_table(directory / "training_log.parquet", result.log)
        write_dropped(directory, result.dropped)
        beside(directory)
    last = result.log["loss"][-1].as_py() if result.log.num_rows else float("nan")
    resumed = f", continued at update {result.resumed_at}" if result.resumed_at else ""
    counts = (("samples", result.samples), ("updates", result.updates), ("truncated", result.truncated))
    note = f"{result.samples:,} samples, {result.updates:,} updates{resumed}, final loss {last:.3f}"
    return StageSummary(result.samples, f"{note}, {result.truncated} truncated", (*counts, ("final_loss", last)))


def instructed_samples(context: StageContext, origin: str) -> tuple[InstructedImage, ...]:
    """The samples of one purpose with their instructions, sorted by sample id."""
    instructions = read_table(context.input(f"instructions/{origin}") / "instructions.parquet", INSTRUCTIONS)
    return training_samples(assemble_training_set(read_samples(context.input("manifest")), ((origin, instructions),)))
