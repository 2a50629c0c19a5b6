"""Cached results of Prefect, scratch folders, and the versions in tables of vectors."""

import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from components.lineage.retention import Decision, Item, decide_by_age
from components.parameters.retention import RetentionParameters
from tasks.platform.workspace import STATE, Workspace

RESULT = "Prefect result"
SCRATCH = "scratch folder"
VECTORS = "version of vectors"
# Of the artifact that a stage's result names; the record is JSON within JSON, so the quotes may be escaped.
_ARTIFACT = re.compile(rb"dvc_hash\W+([0-9a-f]{32}(?:\.dir)?)")


def judge_results(kept_objects: Collection[str], *, retention: RetentionParameters, now_ms: int) -> tuple[Item, ...]:
    """Decide about the results that Prefect keeps in its local folder: one whose artifact goes would find nothing.

    Args:
        kept_objects: hashes that stay in the DVC cache.
        retention: the policy.
        now_ms: milliseconds since 1970.
    """
    folder = Path(str(PREFECT_LOCAL_STORAGE_PATH.value()))
    items = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = file.stat()
        named = _ARTIFACT.search(file.read_bytes())
        if named is not None and named[1].decode() in kept_objects:
            decision = Decision(goes=False, reason="its artifact is in the DVC cache")
        else:
            unused = "its artifact is not kept" if named is not None else "the result of no stage"
            changed_ms = status.st_mtime * 1000
            decision = decide_by_age(changed_ms, retention=retention, now_ms=now_ms, unused=unused)
        items.append(Item(RESULT, str(file), status.st_size, decision))
    return tuple(items)


def judge_scratch(*, retention: RetentionParameters, now_ms: int) -> tuple[Item, ...]:
    """Decide about checkpoints and other unfinished work, by the newest file of each folder."""
    items = []
    for folder in sorted(path for path in (STATE / "scratch").glob("*/*") if path.is_dir()):
        files = [path.stat() for path in (folder, *folder.rglob("*"))]
        changed_ms = max(status.st_mtime for status in files) * 1000
        unused = f"work that was left {retention.days:g} days ago"
        decision = decide_by_age(changed_ms, retention=retention, now_ms=now_ms, unused=unused)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        items.append(Item(SCRATCH, str(folder), size, decision))
    return tuple(items)


def list_vector_versions(workspaces: Iterable[Workspace]) -> tuple[Item, ...]:
    """The versions in the workspaces' tables of vectors, which all stay.

    A version is a list of the files that it is made of, and these are shared. They belong to the artifact that dvc.lock
    names: without them it would be another one, and every stage after it would run again. The stage embed itself drops
    them when it has merged a table's files; the files of before the merge are objects of the DVC cache.
    """
    stays = Decision(goes=False, reason="part of the artifact; embed drops them when it merges files")
    return tuple(
        Item(VECTORS, str(file), file.stat().st_size, stays)
        for workspace in workspaces
        for file in sorted(workspace.artifact("vectors").glob("*.lance/_versions/*.manifest"))
    )


def delete_paths(items: Sequence[Item]) -> None:
    """Delete files and folders by their names."""
    for item in items:
        path = Path(item.name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
