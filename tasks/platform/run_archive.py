"""A finished curation run as MLflow keeps it: its versions, its parameters, its code, whatever happened since."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from components.lineage.lock_file import LineageError, LockedStage, parse_lock
from components.lineage.machine import Machine, read_machine
from tasks.platform.model_versions import find_version
from tasks.platform.run_files import CODE_NAME, MACHINE_NAME
from tasks.platform.tag_names import CODE_TAG, COMMIT_TAG, FLOW_RUN_ID_TAG, MODEL_TAG, WORKSPACE_TAG
from tasks.platform.tracking import experiment_id, tracking_client

if TYPE_CHECKING:
    from mlflow.entities import Run

_SHORTEST_ID = 4
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class RunArchive:
    """What MLflow knows of a run.

    Attributes:
        run_id: in MLflow.
        name: of the run.
        status: as MLflow says it.
        started_ms: milliseconds since 1970.
        ended_ms: the same; None while it runs.
        tags: by name.
        lock_text: its dvc.lock.
        parameter_text: its params.yaml.
        stages: what its dvc.lock says.
        strategy: how the images were chosen.
        ledger: URL of its ledger.
        files: names of the other files it keeps.
    """

    run_id: str
    name: str
    status: str
    started_ms: int
    ended_ms: int | None
    tags: Mapping[str, str]
    lock_text: str
    parameter_text: str
    stages: tuple[LockedStage, ...]
    strategy: str
    ledger: str
    files: frozenset[str]

    @property
    def workspace(self) -> str:
        """The folder it ran in, relative to the project root."""
        return self.tags[WORKSPACE_TAG]

    @property
    def commit(self) -> str:
        """The commit of its code, hex; empty when the code was in no commit."""
        text = self.tags.get(COMMIT_TAG, "").removesuffix("-dirty")
        return "" if text.startswith("unknown") else text

    @property
    def has_changed_code(self) -> bool:
        """Whether its code or configuration differed from the commit."""
        if CODE_TAG in self.tags:
            return bool(self.tags[CODE_TAG])
        return self.tags.get(COMMIT_TAG, "").endswith("-dirty")

    @property
    def ledger_label(self) -> str:
        """Under which the ledger books what it bought."""
        return self.tags.get(FLOW_RUN_ID_TAG) or self.run_id

    @property
    def model_version(self) -> str:
        """`NAME/VERSION` that its adapter is registered as; empty without one."""
        return self.tags.get(MODEL_TAG, "")

    def file(self, name: str) -> bytes:
        """Read a file that goes with it.

        Raises:
            LineageError: it has no such file.
        """
        if name not in self.files:
            raise LineageError(f"MLflow run {self.run_id} keeps no {name}")
        return run_file(self.run_id, name)

    def machine(self) -> Machine | None:
        """What it ran on; None when that was not recorded."""
        return read_machine(self.file(MACHINE_NAME).decode()) if MACHINE_NAME in self.files else None

    def code_changes(self) -> bytes:
        """What its code differed in from the commit, as a patch; empty when it did not.

        Raises:
            LineageError: it did, and the patch was not kept, or is not that of the code that ran.
        """
        if not self.has_changed_code:
            return b""
        if CODE_NAME not in self.files:
            raise LineageError(
                f"run {self.run_id} was made from commit {self.commit or '(none)'} with changes that were neither "
                "committed nor recorded: it cannot be made again"
            )
        changes = self.file(CODE_NAME)
        expected, found = self.tags.get(CODE_TAG), hashlib.sha256(changes).hexdigest()
        if expected is not None and found != expected:
            raise LineageError(
                f"{CODE_NAME} of run {self.run_id} (sha256 {found}) is not the change that its code had when it began "
                f"({expected}): another would be made again"
            )
        return changes


def open_archive(run_id: str) -> RunArchive:
    """Read a run by its id in MLflow.

    Raises:
        LineageError: MLflow has no such run, or it ended before any stage.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = tracking_client().get_run(run_id)
    except MlflowException as error:
        raise LineageError(f"MLflow has no run {run_id!r} ({error.error_code})") from None
    return _archive(run)


def find_run(name: str | None) -> RunArchive:
    """Find a curation run.

    Args:
        name: its MLflow id or the beginning of it, or a version or an alias of the registered model; None: the newest
            that finished.

    Raises:
        LineageError: there is none, or several begin so.
    """
    runs = curation_runs()
    if name is None:
        finished = [run for run in runs if run.info.status == "FINISHED"]
        if not finished:
            raise LineageError("MLflow has no finished curation run yet; `presel run` makes one")
        return _archive(finished[0])
    if len(name) >= _SHORTEST_ID:
        found = [run for run in runs if run.info.run_id.startswith(name)]
        if len(found) > 1:
            ids = ", ".join(run.info.run_id for run in found[:5])
            raise LineageError(f"{len(found)} runs begin with {name!r}: {ids}; give more of the id")
        if found:
            return _archive(found[0])
    return open_archive(find_version(name).run_id)


def curation_runs() -> list["Run"]:
    """Every curation run that MLflow has, the newest first; deleted ones are left out."""
    client = tracking_client()
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment_id(client)],
            f"tags.`{WORKSPACE_TAG}` LIKE '%'",
            max_results=_PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            return found


def run_file(run_id: str, name: str) -> bytes:
    """The content of a file that MLflow keeps with a run."""
    with tempfile.TemporaryDirectory(prefix="presel-mlflow-") as folder:
        return Path(tracking_client().download_artifacts(run_id, name, folder)).read_bytes()


def _archive(run: "Run") -> RunArchive:
    files = frozenset(entry.path for entry in tracking_client().list_artifacts(run.info.run_id))
    missing = {"dvc.lock", "params.yaml"} - files
    if missing or WORKSPACE_TAG not in run.data.tags:
        raise LineageError(
            f"MLflow run {run.info.run_id} ({run.info.run_name}) keeps no {', '.join(sorted(missing)) or 'workspace'}: "
            "it is no curation run, or ended before its first stage"
        )
    lock_text = run_file(run.info.run_id, "dvc.lock").decode()
    parameter_text = run_file(run.info.run_id, "params.yaml").decode()
    values = yaml.safe_load(parameter_text)
    return RunArchive(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        started_ms=run.info.start_time,
        ended_ms=run.info.end_time,
        tags=run.data.tags,
        lock_text=lock_text,
        parameter_text=parameter_text,
        stages=parse_lock(lock_text),
        # Not checked as today's parameters are: an old run is read by programs that know more of them.
        strategy=str(values["strategy"]),
        ledger=str(values["instructions"]["ledger"]),
        files=files,
    )
