"""The tuned adapter as a version in the MLflow model registry."""

from dataclasses import dataclass
from pathlib import Path

from prefect import task

from components.parameters.parameters import VlmParameters
from components.schemas import METRICS
from components.storage import read_table
from tasks.platform.journal import ask, record
from tasks.platform.journal_entries import RegisterAdapter
from tasks.platform.journal_telling import version_of_adapter
from tasks.platform.stage import CurationRun
from tasks.platform.tag_names import BENCHMARK_TAG, WORKSPACE_TAG
from tasks.platform.tracking import tracking_client
from tasks.platform.versioning import Artifact


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
