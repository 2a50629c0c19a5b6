"""MLflow runs that the retention policy lets go, and what those that stay need of the DVC cache."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from components.errors import UserError
from components.lineage.lock_file import earlier_artifacts, parse_lock
from components.lineage.retention import DatedRun, Item, decide_runs
from components.parameters.parameters import RetentionParameters
from tasks.platform.finished import last_finished
from tasks.platform.journal_store import count_waiting, waiting_elsewhere
from tasks.platform.journal_telling import UnknownRunError, mlflow_id
from tasks.platform.model_versions import ModelVersion
from tasks.platform.run_archive import curation_runs, run_file
from tasks.platform.tag_names import ADAPTER_TAG, BENCHMARK_TAG, PARENT_TAG, WORKSPACE_TAG
from tasks.platform.tracking import experiment_id, shown_address, tracking_client
from tasks.platform.unpushed import unpushed
from tasks.platform.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = "MLflow run"


class PurgeError(UserError, RuntimeError):
    """Nothing more can be collected now: MLflow's own collection failed, or MLflow does not know every run yet."""


def check_journal() -> None:
    """Make sure that MLflow has been told of every run.

    Raises:
        PurgeError: something waits, for this server or another.
    """
    waiting = count_waiting() + sum(count for _, count in waiting_elsewhere())
    if waiting:
        raise PurgeError(
            f"{waiting:,} entries of the journal wait for MLflow, and what their runs need is not known before it has "
            "them; `presel sync` sends them, or says what to do"
        )


def check_tracking(workspaces: Iterable[Workspace]) -> None:
    """Make sure that the MLflow that is asked is the one that the workspaces' runs were told to.

    Another one knows of no registered model, so everything would seem to be needed by nobody.

    Raises:
        PurgeError: it does not know the last finished run of a workspace.
    """
    known = {run.info.run_id for run in curation_runs()}
    for workspace in workspaces:
        finished = last_finished(workspace)
        if finished is not None and not _is_known(finished.run, known):
            raise PurgeError(
                f"MLflow at {shown_address()} does not know run {finished.run} of workspace {workspace.root!r}: set "
                "MLFLOW_TRACKING_URI to the server that the runs were told to; nothing was deleted"
            )


def _is_known(run: str, known: Collection[str]) -> bool:
    try:
        return mlflow_id(run) in known
    except UnknownRunError:
        return False


def judge_runs(
    versions: Collection[ModelVersion], *, retention: RetentionParameters, now_ms: int
) -> tuple[tuple[Item, ...], frozenset[str]]:
    """Decide about every curation run.

    Args:
        versions: every version of every registered model.
        retention: the policy.
        now_ms: milliseconds since 1970.

    Returns:
        The runs, named by their ids, and the ids of those that stay.
    """
    runs = curation_runs()
    dated = [
        DatedRun(run.info.run_id, run.data.tags[WORKSPACE_TAG], run.info.start_time, run.info.status) for run in runs
    ]
    registered = frozenset(version.run_id for version in versions)
    decisions = decide_runs(dated, registered=registered, retention=retention, now_ms=now_ms)
    client = tracking_client()
    items = tuple(Item(KIND, run_id, _size(client, run_id), decision) for run_id, decision in decisions.items())
    return items, frozenset(run_id for run_id, decision in decisions.items() if not decision.goes)


def hashes_of_runs(run_ids: Collection[str], versions: Collection[ModelVersion]) -> frozenset[str]:
    """What runs and registered versions need in the store: hashes of artifacts, without the files in them.

    Args:
        run_ids: of curation runs; one that ended before its first stage needs nothing.
        versions: of registered models.
    """
    client = tracking_client()
    needed = {tag for version in versions for name in (ADAPTER_TAG, BENCHMARK_TAG) if (tag := version.tags.get(name))}
    for run_id in run_ids:
        if any(entry.path == "dvc.lock" for entry in client.list_artifacts(run_id)):
            needed |= _hashes_of_lock(run_file(run_id, "dvc.lock").decode())
    return frozenset(needed)


def hashes_at_hand(workspaces: Iterable[Workspace]) -> frozenset[str]:
    """Hashes of the artifacts that a recuration goes on from, and of those that no remote has yet.

    Args:
        workspaces: of the project.

    Returns:
        Without the files in the artifacts.
    """
    needed = set(unpushed())
    for workspace in workspaces:
        finished = last_finished(workspace)
        if finished is not None:
            needed |= _hashes_of_lock(finished.lock_text)
        record = workspace.artifact("earlier") / "earlier.json"
        if record.exists():
            needed |= set(json.loads(record.read_text(encoding="utf-8"))["artifacts"].values())
    return frozenset(needed)


def _hashes_of_lock(text: str) -> set[str]:
    stages = parse_lock(text)
    written = {output.md5 for stage in stages for output in stage.writes}
    return written | {earlier.md5 for earlier in earlier_artifacts(stages)}


def delete_runs(run_ids: Collection[str]) -> None:
    """Delete runs and those nested in them; where MLflow has no server, for good.

    A server keeps deleted runs until `mlflow gc` is run beside it.

    Raises:
        PurgeError: `mlflow gc` failed; the runs are marked as deleted.
    """
    client = tracking_client()
    gone = []
    for run_id in run_ids:
        for nested in (*_nested(client, run_id), run_id):
            client.delete_run(nested)
            gone.append(nested)
    address = os.environ["MLFLOW_TRACKING_URI"]
    if gone and not address.startswith("http"):
        command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", address, "--run-ids", ",".join(gone)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PurgeError(f"`mlflow gc` ended with {done.returncode}: {done.stderr.strip()[-500:]}")


def _nested(client: "MlflowClient", run_id: str) -> Iterator[str]:
    query = f"tags.`{PARENT_TAG}` = '{run_id}'"
    for run in client.search_runs([experiment_id(client)], query, max_results=1000):
        yield run.info.run_id


def _size(client: "MlflowClient", run_id: str, folder: str | None = None) -> int:
    return sum(
        _size(client, run_id, entry.path) if entry.is_dir else entry.file_size or 0
        for entry in client.list_artifacts(run_id, folder)
    )
