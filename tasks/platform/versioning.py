"""What DVC knows of a stage: its identity, its output's hash, bringing outputs back, committing.

`dvc.yaml` is the only place that says what a stage reads, writes and depends on. The digest of all of it is the stage's
cache key in Prefect, so Prefect and DVC agree on what is up to date.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.errors import UserError
from components.storage import write_text
from tasks.platform.dvc_objects import fetch_artifact, open_repository
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


class MissingInputError(UserError, FileNotFoundError):
    """A stage was asked for before what it reads exists."""


@dataclass(frozen=True, slots=True)
class _ReadFiles:
    """A workspace's dvc.yaml and dvc.lock as DVC has read and checked them, and when they were written."""

    stamps: tuple[tuple[int, ...] | None, ...]
    pipeline: Any
    lock: Any


_read_files: dict[Path, _ReadFiles] = {}


@contextmanager
def open_stage(workspace: Workspace, name: str) -> Iterator[Any]:
    """One stage of the workspace's dvc.yaml as DVC sees it now."""
    with open_repository() as repo:
        yield _pipeline_file(repo, workspace).stages[name]


def _pipeline_file(repo: Any, workspace: Workspace) -> Any:
    """DVC's dvc.yaml of a workspace, its files read again only when they were written since.

    DVC reads and checks both files for every look at a stage, which takes longer than the look itself.
    """
    from dvc.dvcfile import load_file

    file = load_file(repo, str(workspace.pipeline_file))
    stamps = tuple(_stamp(path) for path in (workspace.pipeline_file, workspace.lock_file))
    place = workspace.pipeline_file.absolute()
    known = _read_files.get(place)
    if known is None or known.stamps != stamps:
        known = _read_files[place] = _ReadFiles(stamps, file.contents, file.lockfile_contents)
    file.contents, file.lockfile_contents = known.pipeline, known.lock
    return file


def _stamp(path: Path) -> tuple[int, ...] | None:
    if not path.exists():
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


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
    output = single_output(stage)
    return str(output.get_hash().value) if output.exists else None


def output_path(stage: Any) -> str:
    """The stage's output path relative to its workspace."""
    return str(single_output(stage).def_path)


def data_paths(stage: Any) -> tuple[str, ...]:
    """What the stage reads under `data/`, relative to that, in the order of dvc.yaml."""
    paths = [dependency.def_path for dependency in stage.deps]
    return tuple(path.removeprefix("data/") for path in paths if path.startswith("data/"))


def restore_output(stage: Any, dvc_hash: str) -> bool:
    """Bring a version of the stage's output back from the DVC cache or the remote; damaged copies are never used.

    Returns:
        Whether it is there now.
    """
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    output = single_output(stage)
    if not fetch_artifact(stage.repo, dvc_hash):
        return False
    output.hash_info = HashInfo("md5", dvc_hash)
    try:
        output.checkout(force=True)
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


def is_recorded(stage: Any) -> bool:
    """Whether dvc.lock names what the stage reads and has written as it lies there now."""
    with stage.repo.lock:
        return not stage.changed()


def commit_stage(workspace: Workspace, name: str, key: str) -> None:
    """Record what the stage read and wrote in dvc.lock and its output in the DVC cache, unless that is so already.

    Raises:
        StageChangedError: what it reads is not what it read.
    """
    with open_repository() as repo, repo.lock:
        stage = _pipeline_file(repo, workspace).stages[name]
        check_unchanged(stage, workspace, key)
        if stage.changed():
            stage.save()
            stage.commit()
            _write_lock(stage, workspace)


def _write_lock(stage: Any, workspace: Workspace) -> None:
    """Write a stage down in dvc.lock as DVC does, but at once, and the other stages as they were written before.

    `stage.dump()` first parses the file for comments that somebody may have put into it, and then writes all of it
    anew, which takes most of a second.
    """
    from dvc.stage.serialize import to_lockfile

    place = workspace.pipeline_file.absolute()
    known = _read_files[place]
    recorded = json.loads(json.dumps(to_lockfile(stage)))
    stages = {**known.lock.get("stages", {}), **recorded}
    texts = (_lock_text(json.dumps({name: entry})) for name, entry in stages.items())
    write_text(workspace.lock_file, "schema: '2.0'\nstages:\n" + "".join(texts))
    stamps = (known.stamps[0], _stamp(workspace.lock_file))
    _read_files[place] = _ReadFiles(stamps, known.pipeline, {"schema": "2.0", "stages": stages})


@lru_cache(maxsize=512)
def _lock_text(entry: str) -> str:
    """A stage's lines in dvc.lock, of its entry as JSON."""
    from dvc.utils.serialize import dumps_yaml

    return str(dumps_yaml({"stages": json.loads(entry)})).removeprefix("stages:\n")


def single_output(stage: Any) -> Any:
    """The one output that a stage has, as DVC sees it."""
    if len(stage.outs) != 1:
        raise ValueError(f"stage {stage.addressing} must have exactly one output directory, has {stage.outs}")
    return stage.outs[0]


def _portable_name(path: str, workspace: Workspace) -> str:
    inside = Path(os.path.relpath(path, Path(workspace.root).resolve()))
    if not inside.parts or inside.parts[0] != "..":
        return inside.as_posix()
    return Path(os.path.relpath(path, Path.cwd())).as_posix()
