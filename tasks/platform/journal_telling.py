"""Telling MLflow one operation. Telling it twice is telling it once, so the sender may be interrupted anywhere."""

import warnings
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.parameters.parameters import VlmParameters
from tasks.platform.journal_entries import (
    LogDataset,
    LogFile,
    LogValues,
    OpenRun,
    Operation,
    RegisterAdapter,
    SetStatus,
)
from tasks.platform.model_versions import CHALLENGER
from tasks.platform.tag_names import ADAPTER_TAG, MODEL_TAG, PARENT_TAG, RUN_TAG
from tasks.platform.tracking import experiment_id, server_name, tracking_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCAL = "local-"
REQUIREMENTS = ("mlflow", "torch", "transformers", "peft", "pillow", "pyarrow", "pydantic", "fsspec")
# What the server takes in one request.
METRICS_AT_ONCE, PARAMS_AT_ONCE = 1000, 100
# Ids that servers gave to runs of the journal, by server and identity, as far as this process knows.
_ids: dict[tuple[str, str], str] = {}


class UnknownRunError(LookupError):
    """MLflow does not know a run of the journal: its beginning was not taken, or it was deleted in MLflow."""


def tell(operation: Operation) -> None:
    """Tell MLflow.

    Raises:
        UnknownRunError: MLflow does not know the run.
        FileNotFoundError: the operation's file is gone.
    """
    client = tracking_client()
    if isinstance(operation, OpenRun):
        _open_run(client, operation)
        return
    run_id = mlflow_id(operation.run)
    if isinstance(operation, RegisterAdapter):
        _register_once(client, run_id, operation)
    elif isinstance(operation, LogValues):
        _log_values(client, run_id, operation)
    elif isinstance(operation, LogDataset):
        _log_dataset(client, run_id, operation)
    elif isinstance(operation, LogFile):
        client.log_artifact(run_id, operation.file)
    else:
        _set_status(client, run_id, operation)


def known_id(run: str) -> str:
    """The id in MLflow where this process has told MLflow of the run, else the run's identity in the journal."""
    return _ids.get((server_name(), run), run)


def mlflow_id(run: str) -> str:
    """The id that MLflow gave a run, asked for where this process does not know it.

    Args:
        run: that id, or the run's identity in the journal.

    Raises:
        UnknownRunError: MLflow has no such run.
    """
    known = known_id(run)
    if not known.startswith(LOCAL):
        return known
    found = _find_run(tracking_client(), run)
    if found is None:
        raise UnknownRunError(f"MLflow has no run with the tag {RUN_TAG} = {run}")
    _ids[server_name(), run] = found
    return found


def version_of_adapter(client: "MlflowClient", name: str, adapter_hash: str) -> str | None:
    """The version of a registered model that holds an adapter, if there is one."""
    for found in client.search_model_versions(f"name='{name}'"):
        if found.tags.get(ADAPTER_TAG) == adapter_hash:
            return str(found.version)
    return None


def _open_run(client: "MlflowClient", operation: OpenRun) -> None:
    found = _find_run(client, operation.run)
    if found is None:
        tags = dict(operation.tags) | {RUN_TAG: operation.run}
        if operation.parent is not None:
            tags[PARENT_TAG] = mlflow_id(operation.parent)
        run: Any = client.create_run(
            experiment_id(client), start_time=operation.started_ms, run_name=operation.name, tags=tags
        )
        found = str(run.info.run_id)
    _ids[server_name(), operation.run] = found


def _find_run(client: "MlflowClient", identity: str) -> str | None:
    runs = client.search_runs([experiment_id(client)], f"tags.`{RUN_TAG}` = '{identity}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def _log_values(client: "MlflowClient", run_id: str, operation: LogValues) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(metric.name, metric.value, metric.measured_ms, metric.step) for metric in operation.metrics]
    for start in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_AT_ONCE])
    params = [Param(name, value) for name, value in operation.params]
    for start in range(0, len(params), PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start : start + PARAMS_AT_ONCE])
    if operation.tags:
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in operation.tags])


def _log_dataset(client: "MlflowClient", run_id: str, operation: LogDataset) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=operation.name,
        digest=operation.digest,
        source_type="dvc",
        source=operation.source,
        profile=operation.profile,
    )
    tags = [InputTag("mlflow.data.context", operation.context)]
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])


def _set_status(client: "MlflowClient", run_id: str, operation: SetStatus) -> None:
    if operation.status == "RUNNING":
        client.update_run(run_id, status=operation.status)
    else:
        client.set_terminated(run_id, operation.status, end_time=operation.at_ms)


def _register_once(client: "MlflowClient", run_id: str, operation: RegisterAdapter) -> None:
    version = version_of_adapter(client, operation.model_name, operation.adapter_hash)
    if version is None:
        version = _register(client, run_id, operation)
    client.set_registered_model_alias(operation.model_name, CHALLENGER, version)
    client.set_tag(run_id, MODEL_TAG, f"{operation.model_name}/{version}")


def _register(client: "MlflowClient", run_id: str, operation: RegisterAdapter) -> str:
    import mlflow

    uri = _logged_model(client, run_id, operation.adapter_hash) or _log_model(run_id, operation)
    # With its tags at once: a version without them would be taken for another adapter and registered again.
    tags = {**dict(operation.tags), ADAPTER_TAG: operation.adapter_hash}
    return str(mlflow.register_model(uri, operation.model_name, tags=tags).version)


def _logged_model(client: "MlflowClient", run_id: str, adapter_hash: str) -> str | None:
    """A model that an interrupted replay had logged completely and not registered."""
    from mlflow.entities import LoggedModelStatus

    for model in client.search_logged_models([experiment_id(client)], f"source_run_id = '{run_id}'"):
        if model.status == LoggedModelStatus.READY and model.tags.get(ADAPTER_TAG) == adapter_hash:
            return str(model.model_uri)
    return None


def _log_model(run_id: str, operation: RegisterAdapter) -> str:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "image"), ColSpec("string", "question")]),
        outputs=Schema([ColSpec("string")]),
        params=ParamSchema([ParamSpec("max_new_tokens", "integer", 64)]),
    )
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        # It warns that it cannot infer a signature, which is given here.
        warnings.simplefilter("ignore", UserWarning)
        info = mlflow.pyfunc.log_model(
            name="model",
            # A file of code, not a pickled object: nothing is unpickled when the model is loaded.
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"adapter": Path(operation.adapter).resolve().as_uri()},
            model_config={"vlm": VlmParameters.model_validate_json(operation.vlm).model_dump(mode="json")},
            code_paths=[str(Path(__file__).parents[2] / "components")],
            signature=signature,
            pip_requirements=[f"{package}=={installed_version(package)}" for package in REQUIREMENTS],
            tags={ADAPTER_TAG: operation.adapter_hash},
        )
    return str(info.model_uri)
