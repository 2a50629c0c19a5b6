"""The tuned adapter as a version in the MLflow model registry."""

import warnings
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from components.parameters import VlmParameters
from components.schemas import METRICS
from components.storage import read_table
from tasks.stage import CurationRun
from tasks.tracking import tracking_client
from tasks.versioning import Artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient

ADAPTER_TAG = "presel.adapter"
REQUIREMENTS = ("mlflow", "torch", "transformers", "peft", "pillow", "pyarrow", "pydantic", "fsspec")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of the registered model.

    Attributes:
        name: of the registered model.
        version: its number.
        created: whether this run made it; False when the same adapter was registered before.
    """

    name: str
    version: str
    created: bool


@task(name="register_model", persist_result=False, retries=2, retry_delay_seconds=5)
def register_model(run: CurationRun, model: Artifact, benchmark: Artifact) -> RegisteredVersion:
    """Register the tuned adapter as `challenger`, once: an adapter that has a version keeps it."""
    client = tracking_client()
    name = run.workspace.parameters().registry.model_name
    version = _version_of(client, name, model.dvc_hash)
    created = version is None
    if version is None:
        metrics = read_table(run.workspace.artifact("benchmark/tuned") / "metrics.parquet", METRICS)
        tags = {
            ADAPTER_TAG: model.dvc_hash,
            "presel.benchmark": benchmark.dvc_hash,
            "presel.workspace": run.workspace.root,
            **{f"score.{row['set']}": f"{row['score']:.4f}" for row in metrics.to_pylist()},
        }
        version = _register(run, run.workspace.artifact("model") / "adapter", name, tags)
    client.set_registered_model_alias(name, "challenger", version)
    assert run.mlflow_run_id is not None
    client.set_tag(run.mlflow_run_id, "presel.model_version", f"{name}/{version}")
    return RegisteredVersion(name, version, created)


def _version_of(client: "MlflowClient", name: str, adapter_hash: str) -> str | None:
    for found in client.search_model_versions(f"name='{name}'"):
        if found.tags.get(ADAPTER_TAG) == adapter_hash:
            return str(found.version)
    return None


def _register(run: CurationRun, adapter: Path, name: str, tags: dict[str, str]) -> str:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "image"), ColSpec("string", "question")]),
        outputs=Schema([ColSpec("string")]),
        params=ParamSchema([ParamSpec("max_new_tokens", "integer", 64)]),
    )
    with mlflow.start_run(run_id=run.mlflow_run_id), warnings.catch_warnings():
        # It warns that it cannot infer a signature, which is given here.
        warnings.simplefilter("ignore", UserWarning)
        info = mlflow.pyfunc.log_model(
            name="model",
            # A file of code, not a pickled object: nothing is unpickled when the model is loaded.
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"adapter": adapter.resolve().as_uri()},
            model_config={"vlm": _portable(run.workspace.parameters().vlm).model_dump(mode="json")},
            code_paths=[str(Path(__file__).parent.parent / "components")],
            signature=signature,
            pip_requirements=[f"{package}=={installed_version(package)}" for package in REQUIREMENTS],
        )
        # With its tags at once: a version without them would be taken for another adapter and registered again.
        return str(mlflow.register_model(info.model_uri, name, tags=tags).version)


def _portable(vlm: VlmParameters) -> VlmParameters:
    """A local model folder by its absolute path, so that the registered model loads from any working directory."""
    folder = Path(vlm.model)
    return vlm.model_copy(update={"model": str(folder.resolve())}) if folder.is_dir() else vlm
