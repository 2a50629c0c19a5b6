"""A run's code, parameters and artifacts in a folder of their own, in which its stages run again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from components.lineage.lock_file import LineageError, inner_path
from components.storage import write_bytes, write_text
from tasks.platform.run_archive import RunArchive
from tasks.platform.run_files import SNAPSHOTS_NAME, unpack_snapshots
from tasks.platform.workspace import STATE, Workspace

REPRODUCED = STATE / "reproduced"
# They say where this project's servers, caches and results are; the folder has its own.
_OF_THIS_PROJECT = ("PREFECT_", "MLFLOW_", "DVC_")


def rebuild_project(archive: RunArchive, target: Path) -> Workspace:
    """Check a run's code out and lay its parameters, its dvc.lock and its snapshots out.

    Args:
        archive: the run.
        target: the folder to make; must not exist.

    Returns:
        The run's workspace in it, by its absolute path.

    Raises:
        LineageError: the code is in no commit here, or differed from it and the difference was not kept; or the run's
            workspace lies outside the project.
    """
    root = inner_path(archive.workspace, f"run {archive.run_id}: the workspace")
    changes = archive.code_changes()
    if not archive.commit:
        raise LineageError(
            f"run {archive.run_id} was made from code that was in no git commit: it cannot be made again"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _git(["clone", "--quiet", "--no-checkout", str(Path.cwd()), str(target)])
    _git(["-C", str(target), "checkout", "--quiet", "--detach", archive.commit])
    if changes:
        patch = target / ".git" / "presel.diff"
        write_bytes(patch, changes)
        _git(["-C", str(target), "apply", str(patch)])
    workspace = Workspace(str(target / root))
    write_text(workspace.parameter_file, archive.parameter_text)
    write_text(workspace.lock_file, archive.lock_text)
    if "dvc.yaml" in archive.files:
        write_bytes(workspace.pipeline_file, archive.file("dvc.yaml"))
    unpack_snapshots(archive.file(SNAPSHOTS_NAME), workspace)
    _link_sources(target, yaml.safe_load(archive.parameter_text))
    return workspace


def run_stage(workspace: Workspace, project: Path, name: str) -> str:
    """Run one stage with the folder's own code, in a process of its own.

    Args:
        workspace: in which.
        project: the folder.
        name: the stage, with `@item`.

    Returns:
        Why it failed; empty when it did not.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_OF_THIS_PROJECT)}
    environment["PYTHONPATH"] = str(project)
    command = [sys.executable, "-m", "flows.stage", name]
    done = subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False)
    return done.stderr.strip()[-2000:] or f"exit code {done.returncode}" if done.returncode else ""


def _link_sources(target: Path, parameters: object) -> None:
    """What the parameters name by a relative path and git does not keep is read where it lies."""
    here = Path.cwd()
    for leaf in _texts(parameters):
        path = Path(leaf)
        if not leaf or path.is_absolute() or ".." in path.parts or path.parts[:1] in ((), STATE.parts):
            continue
        if (here / path).exists() and not (target / path).exists():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).symlink_to(here / path)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str) and len(value) < 1000 and "\0" not in value and "\n" not in value:
        yield value


def _git(arguments: list[str]) -> None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LineageError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
