"""A curation run in MLflow: parameters, dataset inputs, lineage tags, and how it ended."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.exceptions import Pause
from prefect.runtime import flow_run

from components.instructions.ledger import open_ledger
from components.instructions.ledger_totals import ledger_cost
from components.parameters import Parameters
from tasks.approval import PurchaseDeclinedError
from tasks.git_commit import git_commit
from tasks.stage import CurationRun
from tasks.tracking import experiment_id, tracking_client
from tasks.versioning import Artifact
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's word for a run that goes on later.
_WAITING = "SCHEDULED"


@contextmanager
def open_curation_run(
    workspace: Workspace, *, refresh: bool, annotate_pool: bool = False, parent_run_id: str | None = None
) -> Iterator[CurationRun]:
    """The parent run of one curation; finished, failed or killed as the block ends.

    Args:
        workspace: where it lives.
        refresh: run every stage even when its result is cached.
        annotate_pool: instructions may be bought for the whole pool.
        parent_run_id: the MLflow run that this one is nested in, such as a comparison's.
    """
    client = tracking_client()
    parameters = workspace.parameters()
    tags = {
        "presel.workspace": workspace.root,
        "presel.strategy": parameters.strategy,
        "presel.git_commit": git_commit(),
        "prefect.flow_run": flow_run.name or "",
        "prefect.flow_run_id": flow_run.id or "",
        "prefect.flow_run_url": flow_run.ui_url or "",
    }
    if parent_run_id is not None:
        tags["mlflow.parentRunId"] = parent_run_id
    run_id = _resumed_run(client, parameters)
    if run_id is None:
        run = client.create_run(experiment_id(client), run_name=flow_run.name or "curate", tags=tags)
        run_id = str(run.info.run_id)
        _log_parameters(run_id, parameters)
    label = flow_run.id or run_id
    status = "FAILED"
    try:
        yield CurationRun(workspace, run_id, refresh, annotate_pool, label)
        status = "FINISHED"
    except Pause:
        status = _WAITING
        raise
    except PurchaseDeclinedError:
        status = "KILLED"
        raise
    finally:
        _close(client, run_id, workspace, cost_usd=_cost(parameters, label), status=status)


def _resumed_run(client: "MlflowClient", parameters: Parameters) -> str | None:
    """The run that waited for a person, when this is the same flow run going on with the same parameters."""
    if not flow_run.id:
        return None
    query = f"tags.`prefect.flow_run_id` = '{flow_run.id}' and attributes.status = '{_WAITING}'"
    for run in client.search_runs([experiment_id(client)], query):
        if run.data.params == dict(_flatten("", parameters.model_dump(mode="json"))):
            client.update_run(run.info.run_id, status="RUNNING")
            return str(run.info.run_id)
    return None


def _close(client: "MlflowClient", run_id: str, workspace: Workspace, *, cost_usd: float, status: str) -> None:
    client.set_tag(run_id, "presel.cost_usd", f"{cost_usd:.6f}")
    if workspace.lock_file.exists():
        digest = hashlib.sha256(workspace.lock_file.read_bytes()).hexdigest()
        client.set_tag(run_id, "presel.dvc_lock_sha256", digest)
        client.log_artifact(run_id, str(workspace.lock_file))
    client.log_artifact(run_id, str(workspace.parameter_file))
    client.set_terminated(run_id, status)


def _cost(parameters: Parameters, label: str) -> float:
    with open_ledger(parameters.instructions.ledger) as ledger:
        return ledger_cost(ledger, run=label)


def log_dataset(run: CurationRun, artifact: Artifact, *, context: str) -> None:
    """Name an artifact as an input of the curation run, with its version.

    Args:
        run: the curation run.
        artifact: the pool's manifest, the training set.
        context: what it is for, such as `pool` or `training`.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    assert run.mlflow_run_id is not None
    dataset = Dataset(
        name=artifact.path,
        digest=artifact.dvc_hash.removesuffix(".dir"),
        source_type="dvc",
        source=f'{{"workspace": "{run.workspace.root}", "path": "{artifact.path}"}}',
        profile=f'{{"rows": {artifact.rows}}}',
    )
    tags = [InputTag("mlflow.data.context", context)]
    tracking_client().log_inputs(run.mlflow_run_id, datasets=[DatasetInput(dataset, tags)])


def _log_parameters(run_id: str, parameters: Parameters) -> None:
    from mlflow.entities import Param

    leaves = [Param(key, value) for key, value in _flatten("", parameters.model_dump(mode="json"))]
    tracking_client().log_batch(run_id, params=leaves)


def _flatten(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _flatten(f"{prefix}.{index}", inner)
    else:
        yield prefix, str(value)
