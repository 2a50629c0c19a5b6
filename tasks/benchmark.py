"""Stages benchmark: a model on the held-out sets."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from components.benchmark.relative import average_score
from components.compute.engine import Engine
from components.compute.progress import Progress
from components.pool.manifest import read_samples
from components.storage import fresh_directory, write_table
from tasks.bodies.tables import write_dropped
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import benchmark_tables
from tasks.platform.workspace import Workspace

if TYPE_CHECKING:
    from components.benchmark.evaluate import BenchmarkResult

_PARAMETERS = ("benchmark.sets", "benchmark.max_new_tokens", "vlm", "ingest.pixel_limit")
_MEMORY = ("benchmark.batch_size",)


@stage(
    "the model before any tuning, on the held-out sets",
    reads=("inputs/benchmark.json", "inputs/vlm.json", "manifest/samples.parquet"),
    parameters=_PARAMETERS,
    writes="benchmark/base",
    uses="gpu",
    memory=_MEMORY,
    tables=benchmark_tables,
)
def benchmark_base(context: StageContext) -> StageSummary:
    """The model before any tuning."""
    return _benchmark(context, None)


@stage(
    "the tuned model on the held-out sets",
    reads=("inputs/benchmark.json", "inputs/vlm.json", "manifest/samples.parquet", "model"),
    parameters=_PARAMETERS,
    writes="benchmark/tuned",
    uses="gpu",
    memory=_MEMORY,
    tables=benchmark_tables,
)
def benchmark_tuned(context: StageContext) -> StageSummary:
    """The tuned model."""
    return _benchmark(context, context.input("model") / "adapter")


@stage(
    "a control on the held-out sets",
    reads=("baseline_model/${item}", "inputs/benchmark.json", "inputs/vlm.json", "manifest/samples.parquet"),
    parameters=_PARAMETERS,
    writes="benchmark/${item}",
    each_baseline=True,
    uses="gpu",
    memory=_MEMORY,
    tables=benchmark_tables,
)
def benchmark_baseline(context: StageContext) -> StageSummary:
    """A control."""
    return _benchmark(context, context.input(f"baseline_model/{context.item}") / "adapter")


def _benchmark(context: StageContext, adapter: Path | None) -> StageSummary:
    result = evaluate_adapter(
        context.workspace, adapter, context.progress("answered questions:"), engine=context.engine
    )
    with fresh_directory(context.output) as directory:
        write_table(directory / "predictions.parquet", result.predictions)
        write_table(directory / "metrics.parquet", result.metrics)
        write_dropped(directory, result.dropped)
    average = average_score(result.metrics)
    questions, sets = result.predictions.num_rows, result.metrics.num_rows
    scores = zip(result.metrics["set"].to_pylist(), result.metrics["score"].to_pylist(), strict=True)
    metrics = (("average", average), *((f"score/{name}", value) for name, value in scores))
    return StageSummary(questions, f"average {100 * average:.1f} of 100, {sets} sets, {questions:,} questions", metrics)


def evaluate_adapter(
    workspace: Workspace, adapter: Path | None, progress: Progress, *, engine: Engine
) -> "BenchmarkResult":
    """Ask a model the questions of the configured sets, those about images of the pool left out."""
    # These import torch, which a cached run does without.
    from components.benchmark.evaluate import evaluate
    from components.models.vlm.source import VlmFiles

    parameters = workspace.parameters()
    # Left out is what is in the pool, not only what was trained on: every model of every run over one pool then
    # answers the same questions, and their averages can be compared.
    pool = pc.unique(read_samples(workspace.artifact("manifest"))["image_sha"]).to_pylist()
    return evaluate(
        VlmFiles(parameters.vlm, adapter),
        parameters.benchmark.sets,
        pool_image_shas=frozenset(pool),
        batch_size=parameters.benchmark.batch_size,
        max_new_tokens=parameters.benchmark.max_new_tokens,
        pixel_limit=parameters.ingest.pixel_limit,
        progress=progress,
        engine=engine,
    )
