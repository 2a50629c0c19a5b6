"""Whether there is room on the disks for what the stages of a run will write.

A run that would fit is never refused: only what stages are sure to write counts, without all that may be found in the
cache and all whose place may come free.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.errors import UserError
from components.parameters.parameters import Parameters
from components.plan.disk_space import FileSystem, too_little_space
from components.pool.manifest import read_samples
from tasks.platform.declaration import StageDeclaration
from tasks.platform.dvc_objects import open_repository
from tasks.platform.file_errors import FREE_SPACE
from tasks.platform.versioning import is_recorded, open_stage
from tasks.platform.workspace import STATE, Workspace
from tasks.stages import declarations_of

# Of what stages say that they write: a few samples are left out on the way, and some file systems compress.
_SURE = 0.9


class DiskSpaceError(UserError, RuntimeError):
    """A disk has not the room for what a run will write."""


def check_disk_space(workspace: Workspace) -> None:
    """Refuse a run that the disks have no room for, before its first long stage.

    Args:
        workspace: of the run, its pool ingested.

    Raises:
        DiskSpaceError: a disk is too full.
    """
    parameters = workspace.parameters()
    # Only these are looked at: a run looks at every stage by itself, and most have nothing left to do.
    outdated = [
        stage.name for stage in declarations_of(parameters.strategy) if stage.disk and not _done(workspace, stage)
    ]
    samples = read_samples(workspace.artifact("manifest"))
    said = disk_shortage(workspace, parameters, samples, outdated)
    if said:
        raise DiskSpaceError(said)


def file_system(folder: Path) -> FileSystem:
    """The file system of a folder, which may not exist yet."""
    there = _there(folder)
    status = os.statvfs(there)
    # A part is kept for root; a file system without blocks does not count them.
    blocks = status.f_bavail if os.geteuid() else status.f_bfree
    return FileSystem(there.stat().st_dev, blocks * status.f_frsize if status.f_blocks else None)


def disk_shortage(
    workspace: Workspace,
    parameters: Parameters,
    samples: pa.Table,
    outdated: Sequence[str],
    *,
    locate: Callable[[Path], FileSystem] = file_system,
) -> str:
    """Say which disk has no room for what stages will write.

    Args:
        workspace: of the run.
        parameters: of the run.
        samples: of the pool.
        outdated: names in dvc.yaml of the stages that would run.
        locate: finds the file system of a folder.

    Returns:
        Folder, need, free space and what to do, in a sentence; "" where all may fit.
    """
    names = {name.partition("@")[0] for name in outdated}
    stages = [stage for stage in declarations_of(parameters.strategy) if stage.name in names]
    wanted = sum(
        stage.disk(samples, parameters, workspace.artifact(stage.writes)) for stage in stages if stage.disk is not None
    )
    # One after the other: what a stage gives back is there for the next.
    passing = max(
        (stage.disk_while_it_runs(samples, parameters) for stage in stages if stage.disk_while_it_runs is not None),
        default=0,
    )
    sure, data = int(_SURE * wanted), workspace.artifact("")
    sure_passing, scratch = int(_SURE * passing), STATE / "scratch"
    if not sure and not sure_passing:
        return ""
    with open_repository() as repository:
        cache = Path(repository.cache.local.path)
        # At most: everything is new, and DVC's cache copies it.
        if not too_little_space({data: sure, cache: sure, scratch: sure_passing}, locate):
            return ""
        cached, linked = _held(cache), _links(repository, cache, data)
    freed = _may_come_free(workspace, stages)
    # What the cache holds may be what is wanted; where the file system can, it is then no copy.
    needs = (
        {data: max(0, sure - freed - cached)}
        if linked
        else {data: max(0, sure - freed), cache: max(0, sure - freed - cached)}
    )
    needs[scratch] = max(0, sure_passing - freed)
    said = too_little_space(needs, locate)
    return f"{said}. {FREE_SPACE}" if said else ""


def _done(workspace: Workspace, declaration: StageDeclaration) -> bool:
    with open_stage(workspace, declaration.name) as stage:
        return is_recorded(stage)


def _there(folder: Path) -> Path:
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())


def _links(repository: Any, cache: Path, data: Path) -> bool:
    """Whether DVC need not copy between its cache and a folder."""
    from dvc_objects.fs.generic import test_links

    local = repository.cache.local
    kinds = [kind for kind in local.cache_types if kind != "copy"]
    return bool(test_links(kinds, local.fs, str(_there(cache)), local.fs, str(_there(data) / "file")))


def _may_come_free(workspace: Workspace, stages: Sequence[StageDeclaration]) -> int:
    """Bytes of what the stages write again, or have written and not finished."""
    written = sum(_held(workspace.artifact(stage.writes)) for stage in stages if not stage.persist)
    return written + _held(STATE / "scratch" / workspace.key)


def _held(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
