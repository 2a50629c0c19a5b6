"""A model on the configured sets outside a curation run: a registered version, or what a run tuned."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from prefect import get_run_logger, task
from prefect.runtime import flow_run

from components.benchmark.relative import average_score
from components.schemas import METRICS
from components.storage import fresh_directory, read_table, write_table
from tasks.benchmark import evaluate_adapter
from tasks.bodies.tables import write_dropped
from tasks.platform.engine import engine_for, engine_of
from tasks.platform.journal import log_file, log_values, open_run, set_status, start_telling
from tasks.platform.stage_page import LoggedProgress
from tasks.platform.tag_names import BENCHMARKED_TAG, FLOW_RUN_ID_TAG
from tasks.platform.tracking import metric_name
from tasks.platform.versioning import MissingInputError
from tasks.platform.workspace import STATE, Workspace

BENCHMARKS = STATE / "benchmarks"


@dataclass(frozen=True, slots=True)
class ModelBenchmark:
    """How a model did.

    Attributes:
        model: which.
        average: mean of the sets' scores, 0 to 1, higher is better.
        folder: of the metrics and the predictions.
        mlflow_run_id: where they are kept.
    """

    model: str
    average: float
    folder: str
    mlflow_run_id: str


def find_adapter(workspace: Workspace, model: str) -> Path:
    """The adapter of a registered version, fetched, or that of a workspace.

    Args:
        workspace: of the run.
        model: `NAME/VERSION` or `NAME@ALIAS`; empty: what the workspace tuned.

    Raises:
        MissingInputError: the workspace has no tuned model.
    """
    if model:
        from mlflow.artifacts import download_artifacts

        # A folder of this flow run's own: files of two models must not meet.
        target = BENCHMARKS / f"{flow_run.id}-model"
        target.mkdir(parents=True, exist_ok=True)
        return Path(download_artifacts(f"models:/{model}", dst_path=str(target))) / "artifacts" / "adapter"
    adapter = workspace.artifact("model") / "adapter"
    if not adapter.is_dir():
        raise MissingInputError(f"{adapter} does not exist: run `curate` in this workspace first, or name a model")
    return adapter


@task(name="benchmark_model", task_run_name="benchmark {model}", persist_result=False, tags=["gpu"])
def benchmark_model(workspace: Workspace, adapter: Path, *, model: str) -> ModelBenchmark:
    """Ask and judge; metrics and predictions are kept on disk and in an MLflow run of their own."""
    start_telling()
    progress, parameters = LoggedProgress("answered questions:", get_run_logger().info), workspace.parameters()
    with engine_for(parameters.compute):
        engine = engine_of(parameters.compute, parameters)
        result = evaluate_adapter(workspace, adapter, progress, engine=engine)
    folder = BENCHMARKS / str(flow_run.id)
    with fresh_directory(folder) as directory:
        write_table(directory / "predictions.parquet", result.predictions)
        write_table(directory / "metrics.parquet", result.metrics)
        write_dropped(directory, result.dropped)
    run_id = _track(folder, model)
    return ModelBenchmark(model, average_score(result.metrics), str(folder), run_id)


def _track(folder: Path, model: str) -> str:
    metrics: pa.Table = read_table(folder / "metrics.parquet", METRICS)
    tags = [(BENCHMARKED_TAG, model), (FLOW_RUN_ID_TAG, str(flow_run.id))]
    run_id = open_run(str(flow_run.name), tags=tags)
    scores = [(f"score/{row['set']}", row["score"]) for row in metrics.to_pylist()]
    values = [("average", average_score(metrics)), *scores]
    log_values(run_id, metrics=[(metric_name(name), value) for name, value in values])
    for file in sorted(folder.iterdir()):
        log_file(run_id, str(file))
    set_status(run_id, "FINISHED")
    return run_id
