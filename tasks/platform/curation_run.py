"""The runs of a curation and of a comparison in MLflow: parameters, data sets, lineage tags, and how they ended."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefect import task
from prefect.artifacts import create_link_artifact
from prefect.exceptions import Pause
from prefect.runtime import flow_run

from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_cost
from components.parameters.compute import EngineName
from components.parameters.parameters import Parameters
from tasks.platform.approval import PurchaseDeclinedError
from tasks.platform.engine import engine_for
from tasks.platform.git_record import check_git
from tasks.platform.journal import (
    ask,
    log_file,
    log_values,
    open_run,
    record,
    send,
    set_status,
    start_telling,
)
from tasks.platform.journal_entries import LogDataset, RunStatus
from tasks.platform.run_files import RunningCode, code_file, git_commit, run_files, running_code
from tasks.platform.stage_context import CurationRun
from tasks.platform.tag_names import (
    CODE_TAG,
    COMMIT_TAG,
    COMPARISON_TAG,
    COST_TAG,
    FLOW_RUN_ID_TAG,
    FLOW_RUN_TAG,
    FLOW_RUN_URL_TAG,
    LOCK_TAG,
    STRATEGY_TAG,
    WORKSPACE_TAG,
)
from tasks.platform.tracking import experiment_id, metric_name, tracking_client
from tasks.platform.versioning import Artifact
from tasks.platform.workspace import Workspace

# MLflow's word for a run that goes on later.
_WAITING: RunStatus = "SCHEDULED"


@contextmanager
def open_curation_run(
    workspace: Workspace,
    *,
    refresh: bool,
    annotate_pool: bool = False,
    parent_run_id: str | None = None,
    engine: EngineName | None = None,
) -> Iterator[CurationRun]:
    """The parent run of one curation; finished, failed or killed as the block ends.

    Args:
        workspace: where it lives.
        refresh: run every stage even when its result is cached.
        annotate_pool: instructions may be bought for the whole pool.
        parent_run_id: the MLflow run that this one is nested in, such as a comparison's.
        engine: that is used instead of the one that the parameters name; it changes no result.

    Raises:
        GitIdentityError: the parameters ask for a commit, and git does not know who commits.
        RayMissingError: the engine is Ray, and Ray is not installed.
    """
    parameters = workspace.parameters()
    if engine is not None:
        compute = parameters.compute.model_copy(update={"engine": engine})
        parameters = parameters.model_copy(update={"compute": compute})
    check_git(parameters.versioning)
    start_telling()
    code = running_code()
    run_id = _resumed_run(parameters, code)
    if run_id is None:
        tags = [
            (WORKSPACE_TAG, workspace.root),
            (STRATEGY_TAG, parameters.strategy),
            (COMMIT_TAG, code.commit),
            (CODE_TAG, code.digest),
            (FLOW_RUN_TAG, flow_run.name or ""),
            (FLOW_RUN_ID_TAG, flow_run.id or ""),
            (FLOW_RUN_URL_TAG, flow_run.ui_url or ""),
        ]
        run_id = open_run(flow_run.name or "curate", parent=parent_run_id, tags=tags)
        log_values(run_id, params=list(_flatten("", parameters.model_dump(mode="json"))))
        if code.changes:
            with code_file(code) as file:
                log_file(run_id, str(file))
    label = flow_run.id or run_id
    status: RunStatus = "FAILED"
    try:
        with engine_for(parameters.compute):
            yield CurationRun(workspace, run_id, refresh, annotate_pool, label, parameters.compute)
        status = "FINISHED"
    except Pause:
        status = _WAITING
        raise
    except PurchaseDeclinedError:
        status = "KILLED"
        raise
    finally:
        _close(run_id, workspace, cost_usd=_cost(parameters, label), status=status)


def _resumed_run(parameters: Parameters, code: RunningCode) -> str | None:
    """The run that this flow run had before a person was asked or it was retried; its parameters and code are the same.

    While MLflow is away it cannot be found, and what follows becomes a run of its own with the same flow run's tags.
    """
    if not flow_run.id:
        return None
    query = f"tags.`{FLOW_RUN_ID_TAG}` = '{flow_run.id}'"
    runs = ask(lambda: tracking_client().search_runs([experiment_id(tracking_client())], query))
    flat, told = dict(_flatten("", parameters.model_dump(mode="json"))), (code.commit, code.digest)
    for run in runs or ():
        if run.data.params == flat and (run.data.tags.get(COMMIT_TAG), run.data.tags.get(CODE_TAG)) == told:
            set_status(run.info.run_id, "RUNNING")
            return str(run.info.run_id)
    return None


def _close(run_id: str, workspace: Workspace, *, cost_usd: float, status: RunStatus) -> None:
    tags = [(COST_TAG, f"{cost_usd:.6f}")]
    if workspace.lock_file.exists():
        tags.append((LOCK_TAG, hashlib.sha256(workspace.lock_file.read_bytes()).hexdigest()))
    log_values(run_id, tags=tags)
    with run_files(workspace) as files:
        for file in files:
            log_file(run_id, str(file))
    set_status(run_id, status)
    send()  # also where MLflow was away a moment ago


def _cost(parameters: Parameters, label: str) -> float:
    # Only looked at: where nothing was bought there may be none, and a failed run ends with what it failed with.
    with open_ledger(parameters.instructions.ledger, make=False) as ledger:
        return ledger_cost(ledger, run=label)


def log_dataset(run: CurationRun, artifact: Artifact, *, context: str) -> None:
    """Name an artifact as an input of the curation run, with its version.

    Args:
        run: the curation run.
        artifact: the pool's manifest, the training set.
        context: what it is for, such as `pool` or `training`.
    """
    assert run.mlflow_run_id is not None
    record(
        LogDataset(
            run=run.mlflow_run_id,
            name=artifact.path,
            digest=artifact.dvc_hash.removesuffix(".dir"),
            source=json.dumps({"workspace": run.workspace.root, "path": artifact.path}),
            profile=json.dumps({"rows": artifact.rows}),
            context=context,
        )
    )


def _flatten(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _flatten(f"{prefix}.{index}", inner)
    else:
        yield prefix, str(value)


@contextmanager
def open_comparison_run(name: str, parameters: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The parent run of a comparison; finished, failed or killed as the block ends.

    Args:
        name: of the comparison.
        parameters: what was compared, as (name, value).

    Yields:
        Its id.
    """
    start_telling()
    tags = [
        (COMPARISON_TAG, name),
        (COMMIT_TAG, git_commit()),
        (FLOW_RUN_TAG, flow_run.name or ""),
        (FLOW_RUN_ID_TAG, flow_run.id or ""),
    ]
    run_id = open_run(flow_run.name or "compare", tags=tags)
    status: RunStatus = "FAILED"
    try:
        log_values(run_id, params=parameters)
        yield run_id
        status = "FINISHED"
    finally:
        set_status(run_id, status)


@task(name="publish_comparison", persist_result=False, retries=2, retry_delay_seconds=5)
def publish_comparison(run_id: str, metrics: Sequence[tuple[str, float]], page: Path, files: Sequence[Path]) -> None:
    """Keep the numbers and the page with the MLflow run and link the page from the Prefect run."""
    log_values(run_id, metrics=[(metric_name(name), value) for name, value in metrics])
    for file in (page, *files):
        log_file(run_id, str(file))
    create_link_artifact(
        key="comparison",
        link=page.resolve().as_uri(),
        link_text="comparison",
        description=f"Also an artifact of MLflow run {run_id}.",
    )
