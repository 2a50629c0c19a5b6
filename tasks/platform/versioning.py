"""What DVC knows of a stage: its identity, its output's hash, bringing outputs back, committing.

`dvc.yaml` is the only place that says what a stage reads, writes and depends on. The digest of all of it is the stage's
cache key in Prefect, so Prefect and DVC agree on what is up to date.
"""

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.errors import UserError
from tasks.platform.dvc_cache import remove_damaged
from tasks.platform.workspace import Workspace

logger = logging.getLogger(__name__)


class Artifact(BaseModel):
    """What a stage's task returns: where the data is and which version of it, never the data.

    Attributes:
        stage: the stage that wrote it.
        path: relative to its workspace.
        dvc_hash: DVC's md5 of the directory.
        rows: rows of its main table.
        schema_version: of its tables.
        seconds: that computing it took; a later run that finds it in the cache spends none.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    path: str
    dvc_hash: str
    rows: int
    schema_version: int
    seconds: float


class StageChangedError(RuntimeError):
    """What a stage reads changed while it ran."""


class RemoteAwayError(UserError, RuntimeError):
    """The DVC remote cannot be reached, or did not take everything."""


class MissingInputError(UserError, FileNotFoundError):
    """A stage was asked for before what it reads exists."""


@contextmanager
def open_stage(workspace: Workspace, name: str) -> Iterator[Any]:
    """One stage of the workspace's dvc.yaml as DVC sees it now."""
    with open_repository() as repo:
        yield repo.stage.load_one(path=str(workspace.pipeline_file), name=name)


def stage_key(stage: Any, workspace: Workspace) -> str:
    """Digest of all that decides a stage's output: name, contents of what it reads, parameters, code.

    Args:
        stage: DVC's stage.
        workspace: its workspace; paths inside it are named relative to it, so that equal work in two workspaces has
            one key.

    Returns:
        Hex digest.

    Raises:
        MissingInputError: a dependency does not exist.
    """
    from dvc.dependency.param import ParamsDependency

    inputs: dict[str, object] = {}
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency):
            inputs["params"] = dependency.read_params()
            continue
        if not dependency.exists:
            raise MissingInputError(
                f"stage {stage.addressing} reads {dependency}, which does not exist; run `presel run`, which makes it"
            )
        inputs[_portable_name(dependency.fs_path, workspace)] = dependency.get_hash().value
    text = json.dumps({"stage": stage.name, "inputs": inputs}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def output_hash(stage: Any) -> str | None:
    """DVC's hash of what lies at the stage's output path now, or None when nothing does."""
    output = _single_output(stage)
    return str(output.get_hash().value) if output.exists else None


def output_path(stage: Any) -> str:
    """The stage's output path relative to its workspace."""
    return str(_single_output(stage).def_path)


def restore_output(stage: Any, dvc_hash: str) -> bool:
    """Bring a version of the stage's output back from the DVC cache or the remote; damaged copies are never used.

    Returns:
        Whether it is there now.
    """
    from dvc.config import NoRemoteError
    from dvc.exceptions import CheckoutError, DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    output = _single_output(stage)
    output.hash_info = HashInfo("md5", dvc_hash)
    remove_damaged(output)
    try:
        if output.changed_cache():
            objects = {item for found in output.get_used_objs().values() for item in found}
            stage.repo.cloud.pull(objects)
            if remove_damaged(output):
                logger.warning("%s %s is damaged in the remote too", output, dvc_hash)
                return False
        output.checkout(force=True)
    except (CheckoutError, NoRemoteError, FileNotFoundError) as error:
        logger.warning("%s %s is neither in the DVC cache nor in the remote: %s", output, dvc_hash, error)
        return False
    except DvcException as error:
        logger.warning("%s %s could not be restored: %s", output, dvc_hash, error)
        return False
    return output_hash(stage) == dvc_hash


def check_unchanged(stage: Any, workspace: Workspace, key: str) -> None:
    """Make sure that a stage's inputs, parameters and code are still those that its key was made of.

    Raises:
        StageChangedError: they are not, so its output belongs to neither state.
    """
    if stage_key(stage, workspace) != key:
        raise StageChangedError(
            f"an input, a parameter or the code of stage {stage.addressing} changed while it ran; its output was not "
            "kept. Run again"
        )


def commit_stage(workspace: Workspace, name: str, key: str) -> None:
    """Record what the stage read and wrote in dvc.lock and its output in the DVC cache, unless that is so already.

    Raises:
        StageChangedError: what it reads is not what it read.
    """
    with open_stage(workspace, name) as stage:
        check_unchanged(stage, workspace, key)
        with stage.repo.lock:
            changed = stage.changed()
        if changed:
            stage.repo.commit(f"{workspace.pipeline_file}:{name}", force=True)


def push_output(workspace: Workspace, name: str) -> int:
    """Copy the version of one stage's output that dvc.lock names to the DVC remote.

    Returns:
        Files copied; 0 where no remote is configured.

    Raises:
        RemoteAwayError: the remote cannot be reached, or did not take everything.
    """
    with open_stage(workspace, name) as stage, remote_errors():
        if not stage.repo.config["core"].get("remote"):
            return 0
        objects = {item for found in _single_output(stage).get_used_objs().values() for item in found}
        result = stage.repo.cloud.push(objects)
        if result.failed:
            raise RemoteAwayError(f"{len(result.failed)} files were not taken")
        return len(result.transferred)


@contextmanager
def remote_errors() -> Iterator[None]:
    """Give every failure of the DVC remote one name.

    Raises:
        RemoteAwayError: from whatever DVC or the store's own library raised.
    """
    try:
        yield
    except Exception as error:
        raise RemoteAwayError(f"{type(error).__name__}: {error}") from error


def push_outputs(workspace: Workspace) -> int:
    """Copy the versions that dvc.lock names to the DVC remote.

    Returns:
        Files copied.

    Raises:
        RemoteAwayError: the remote cannot be reached, or did not take everything.
    """
    with open_repository() as repo, remote_errors():
        return int(repo.push(targets=[str(workspace.pipeline_file)]))


def push_hashes(hashes: Collection[str]) -> int:
    """Copy versions of outputs to the DVC remote; those that the DVC cache no longer holds are left out.

    Args:
        hashes: DVC's md5 of directories.

    Returns:
        Files copied.

    Raises:
        RemoteAwayError: the remote cannot be reached, or did not take everything.
    """
    from dvc_data.hashfile import load
    from dvc_data.hashfile.hash_info import HashInfo

    if not hashes:
        return 0
    with open_repository() as repo, remote_errors():
        cache = repo.cache.local
        there = [HashInfo("md5", value) for value in hashes if cache.exists(value)]
        files = {oid for version in there for _, _, oid in load(cache, version)}
        result = repo.cloud.push({*there, *files})
        if result.failed:
            raise RemoteAwayError(f"{len(result.failed)} files were not taken")
        return len(result.transferred)


def open_repository() -> Any:
    """The project's DVC repository; waits for DVC's lock where DVC by itself would fail at once."""
    from dvc.repo import Repo

    # DVC raises its own logger to INFO when it is imported; a stage reports itself.
    logging.getLogger("dvc").setLevel(logging.WARNING)
    # A line for every file that a remote did not take or give; those who asked for it say it once.
    logging.getLogger("dvc_data").setLevel(logging.CRITICAL)
    return Repo(str(Path.cwd()), _wait_for_lock=True)


def _overlap(path: str, other: str) -> bool:
    return Path(path).is_relative_to(other) or Path(other).is_relative_to(path)


def _single_output(stage: Any) -> Any:
    if len(stage.outs) != 1:
        raise ValueError(f"stage {stage.addressing} must have exactly one output directory, has {stage.outs}")
    return stage.outs[0]


def _portable_name(path: str, workspace: Workspace) -> str:
    inside = Path(os.path.relpath(path, Path(workspace.root).resolve()))
    if not inside.parts or inside.parts[0] != "..":
        return inside.as_posix()
    return Path(os.path.relpath(path, Path.cwd())).as_posix()


def outdated_stages(workspace: Workspace, *, changed: Sequence[Path] = ()) -> tuple[str, ...]:
    """Stages whose inputs, parameters, code or output changed since they ran, and those that read what these write.

    Args:
        workspace: whose stages.
        changed: files that a run would change before its first stage; relative paths start at the project root.
    """
    outdated: list[str] = []
    with open_repository() as repo, repo.lock:
        written = [str(Path(repo.root_dir, path)) for path in changed]
        for stage in repo.stage.load_all(path=str(workspace.pipeline_file)):
            paths = [dependency.fs_path for dependency in stage.deps]
            if stage.changed() or any(_overlap(path, other) for path in paths for other in written):
                outdated.append(stage.name)
                written.append(_single_output(stage).fs_path)
    return tuple(outdated)
