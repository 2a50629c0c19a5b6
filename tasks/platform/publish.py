"""The end of a run: its model and report in MLflow, its versions in the DVC remote and in git."""

from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact
from prefect.runtime import task_run

from components.parameters.parameters import VlmParameters
from components.schemas import METRICS
from components.storage import read_table
from tasks.platform.dvc_objects import RemoteAwayError
from tasks.platform.failures import BACK_OFF_JITTER, BACK_OFF_SECONDS, failure_may_pass
from tasks.platform.git_record import commit_files
from tasks.platform.journal import ask, log_file, record
from tasks.platform.journal_entries import RegisterAdapter
from tasks.platform.journal_telling import version_of_adapter
from tasks.platform.stage_context import CurationRun
from tasks.platform.tag_names import BENCHMARK_TAG, WORKSPACE_TAG
from tasks.platform.tracking import tracking_client
from tasks.platform.unpushed import push_run, remember_run
from tasks.platform.versioning import Artifact

_PUSH_RETRIES = 2  # what is not copied now is copied by the next run, so it is not worth waiting long for


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of the registered model.

    Attributes:
        name: of the registered model.
        version: its number; empty where MLflow, which gives the number, has not been told of it yet.
        created: whether this run made it; False when the same adapter was registered before.
    """

    name: str
    version: str
    created: bool


@task(name="register_model", persist_result=False, retries=2, retry_delay_seconds=5)
def register_model(run: CurationRun, model: Artifact, benchmark: Artifact) -> RegisteredVersion:
    """Register the tuned adapter as `challenger`, once: an adapter that has a version keeps it."""
    parameters = run.workspace.parameters()
    name = parameters.registry.model_name
    before = _version_of(name, model.dvc_hash)
    metrics = read_table(run.workspace.artifact("benchmark/tuned") / "metrics.parquet", METRICS)
    tags = {
        BENCHMARK_TAG: benchmark.dvc_hash,
        WORKSPACE_TAG: run.workspace.root,
        **{f"score.{row['set']}": f"{row['score']:.4f}" for row in metrics.to_pylist()},
    }
    assert run.mlflow_run_id is not None
    record(
        RegisterAdapter(
            run=run.mlflow_run_id,
            model_name=name,
            adapter=str(run.workspace.artifact("model") / "adapter"),
            adapter_hash=model.dvc_hash,
            vlm=_portable(parameters.vlm).model_dump_json(),
            tags=tuple(tags.items()),
        ),
    )
    return RegisteredVersion(name, _version_of(name, model.dvc_hash) or "", created=before is None)


def _version_of(name: str, adapter_hash: str) -> str | None:
    return ask(lambda: version_of_adapter(tracking_client(), name, adapter_hash))


def _portable(vlm: VlmParameters) -> VlmParameters:
    """A local model folder by its absolute path, so that the registered model loads from any working directory."""
    folder = Path(vlm.model)
    return vlm.model_copy(update={"model": str(folder.resolve())}) if folder.is_dir() else vlm


@task(name="publish_report", persist_result=False, retries=2, retry_delay_seconds=5)
def publish_report(run: CurationRun, report: Artifact) -> None:
    """Keep the report with the MLflow run and link it from the Prefect run."""
    page = run.workspace.artifact("report") / "report.html"
    assert run.mlflow_run_id is not None
    log_file(run.mlflow_run_id, str(page))
    create_link_artifact(
        key="report",
        link=page.resolve().as_uri(),
        link_text="curation report",
        description=f"Version {report.dvc_hash} of the report; also an artifact of MLflow run {run.mlflow_run_id}.",
    )


@task(
    name="publish_versions",
    persist_result=False,
    retries=_PUSH_RETRIES,
    retry_delay_seconds=list(BACK_OFF_SECONDS[:_PUSH_RETRIES]),
    retry_jitter_factor=BACK_OFF_JITTER,
    retry_condition_fn=failure_may_pass,
)
def publish_versions(run: CurationRun) -> None:
    """Copy new versions to the DVC remote; commit the record to git when the parameters say so."""
    parameters = run.workspace.parameters().versioning
    if parameters.push_to_remote:
        _push(run)
    if parameters.commit_to_git:
        place = run.workspace
        files = [str(place.pipeline_file), str(place.lock_file), str(place.parameter_file)]
        problem = commit_files(files, f"Record curation run {run.mlflow_run_id}")
        if problem:  # the run is done, and MLflow keeps these files too
            get_run_logger().warning("the run's record is not committed to git (%s): commit it by hand", problem)


def _push(run: CurationRun) -> None:
    try:
        copied = push_run(run.workspace)
    except RemoteAwayError as error:
        if task_run.run_count <= _PUSH_RETRIES:
            raise
        # All of it is in the DVC cache: that a copy of it waits is no reason to fail a run that is done.
        get_run_logger().warning(
            "the DVC remote cannot be reached, so %d versions are in this machine's DVC cache alone (%s). See that the "
            "store in .dvc/config is up and that its credentials are in the environment; the next run copies them",
            remember_run(run.workspace),
            error,
        )
    else:
        get_run_logger().info("%d files copied to the DVC remote", copied)
