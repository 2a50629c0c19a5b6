"""What `dvc.lock` says: what every stage of a run read and wrote, by content."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from components.errors import UserError

EARLIER = "data/earlier/"  # what a recuration goes on from: outputs of an earlier run


class LineageError(UserError, ValueError):
    """Something that a lineage needs is not recorded or not to be found; the message says what and what to do."""


@dataclass(frozen=True, slots=True)
class LockedPath:
    """A file or folder at one version.

    Attributes:
        path: relative to the workspace.
        md5: of the file; of a folder's listing with `.dir` at its end.
        size: bytes.
    """

    path: str
    md5: str
    size: int


@dataclass(frozen=True, slots=True)
class LockedStage:
    """One stage as it ran.

    Attributes:
        name: in dvc.yaml, with `@item`.
        reads: its dependencies, code included.
        writes: its outputs.
    """

    name: str
    reads: tuple[LockedPath, ...]
    writes: tuple[LockedPath, ...]


def inner_path(value: str, what: str) -> str:
    """Refuse a path that leads out of the folder it is meant in; recorded paths may have been tampered with.

    Args:
        value: a path as a record gives it.
        what: it is, for the message.

    Returns:
        The same.

    Raises:
        LineageError: it is absolute or has a `..`.
    """
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\0" in value:
        raise LineageError(f"{what} {value!r} leads out of its folder: only relative paths without '..' are followed")
    return value


def parse_lock(text: str) -> tuple[LockedStage, ...]:
    """Read a dvc.lock.

    Args:
        text: of the file, schema 2.0.

    Returns:
        Its stages, in its order.

    Raises:
        LineageError: it is no dvc.lock, or an output in it leads out of the workspace.
    """
    try:
        content = yaml.load(text, Loader=yaml.CSafeLoader)  # in C: dvc.lock is long
        stages = content["stages"]
        parsed = tuple(
            LockedStage(name, _paths(stage.get("deps", ())), _paths(stage.get("outs", ())))
            for name, stage in stages.items()
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise LineageError(f"not a dvc.lock of schema 2.0 ({type(error).__name__}: {error})") from None
    for stage in parsed:
        for path in (*stage.writes, *earlier_artifacts((stage,))):  # code is rightly read from outside a workspace
            inner_path(path.path, f"dvc.lock, stage {stage.name}: the path")
    return parsed


def written_path(stages: tuple[LockedStage, ...], path: str) -> LockedPath:
    """The output at that path, such as `data/selection`.

    Raises:
        LineageError: no stage wrote it.
    """
    return next(output for output in producer(stages, path).writes if output.path == path)


def earlier_artifacts(stages: tuple[LockedStage, ...]) -> tuple[LockedPath, ...]:
    """What a run went on from, each path once; those of a curation from scratch are in no store."""
    reads = {read.path: read for stage in stages for read in stage.reads if read.path.startswith(EARLIER)}
    return tuple(reads[path] for path in sorted(reads))


def producer(stages: tuple[LockedStage, ...], path: str) -> LockedStage:
    """The stage that wrote an output, such as `data/selection`.

    Raises:
        LineageError: none did.
    """
    for stage in stages:
        if any(output.path == path for output in stage.writes):
            return stage
    raise LineageError(f"the run's dvc.lock has no {path}: the run ended before that stage")


def ancestors(stages: tuple[LockedStage, ...], path: str) -> tuple[LockedStage, ...]:
    """The stages that an output rests on, its own the last, in an order in which they can run.

    Raises:
        LineageError: no stage wrote it.
    """
    ordered: list[LockedStage] = []

    def visit(stage: LockedStage) -> None:
        if stage in ordered:
            return
        for dependency in stage.reads:
            for earlier in stages:
                if any(is_within(dependency.path, output.path) for output in earlier.writes):
                    visit(earlier)
        ordered.append(stage)

    visit(producer(stages, path))
    return tuple(ordered)


def is_within(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(posixpath.sep) + posixpath.sep)


def _paths(entries: object) -> tuple[LockedPath, ...]:
    found = []
    assert isinstance(entries, list | tuple)
    for entry in entries:
        assert isinstance(entry, Mapping)
        found.append(LockedPath(str(entry["path"]), str(entry["md5"]), int(entry.get("size", 0))))
    return tuple(found)
