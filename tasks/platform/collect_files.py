"""What lies on disk and nothing needs any more: objects of the DVC cache, results of Prefect, folders of old work."""

import logging
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from components.lineage.retention import Decision, Item, decide_by_age
from components.parameters.parameters import RetentionParameters
from tasks.platform.benchmark_model import BENCHMARKS
from tasks.platform.dvc_objects import cache_path, open_repository, with_files
from tasks.platform.journal_store import leftover_files
from tasks.platform.rebuild import REPRODUCED
from tasks.platform.workspace import STATE, Workspace

OBJECT = "DVC cache object"
# Of the artifact that a stage's result names; the record is JSON within JSON, so the quotes may be escaped.
_ARTIFACT = re.compile(rb"dvc_hash\W+([0-9a-f]{32}(?:\.dir)?)")


def judge_objects(
    needed: Collection[str], *, retention: RetentionParameters, now_ms: int
) -> tuple[tuple[Item, ...], frozenset[str]]:
    """Decide about every object of the cache.

    What the workspaces and the heads of the git branches and tags need, DVC says itself; the remote is left alone.

    Args:
        needed: hashes of artifacts that are kept, without the files in them.
        retention: the policy.
        now_ms: milliseconds since 1970.

    Returns:
        The objects, named by their hashes, and the hashes of those that stay.
    """
    items = []
    with open_repository() as repository:
        # It warns of every output that no dvc.lock names, such as those of a project that works in runs/ only.
        logging.getLogger("dvc.output").setLevel(logging.ERROR)
        by_dvc = repository.used_objs(all_branches=True, all_tags=True)
        in_workspaces = {found.value for used in by_dvc.values() for found in used}
        paths = {md5: cache_path(repository, md5) for md5 in repository.cache.local.all()}
    by_runs = with_files(needed, paths)
    in_workspaces |= with_files(in_workspaces, paths)
    for md5, path in sorted(paths.items()):
        if md5 in by_runs:
            decision = Decision(goes=False, reason="a kept run or a registered model needs it")
        elif md5 in in_workspaces:
            decision = Decision(goes=False, reason="a workspace, a branch or a tag needs it")
        else:
            decision = _by_age(path, "nothing that is kept needs it", retention=retention, now_ms=now_ms)
        items.append(Item(OBJECT, md5, _size(path), decision))
    return tuple(items), frozenset(item.name for item in items if not item.decision.goes)


def delete_objects(names: Collection[str], *, retention: RetentionParameters, now_ms: int) -> None:
    """Delete objects of the cache that were decided about, and no other: what came since may be needed.

    Args:
        names: their hashes.
        retention: the policy; an object that was written again since the decision is young, and stays.
        now_ms: milliseconds since 1970.
    """
    with open_repository() as repository, repository.lock:
        paths = [cache_path(repository, md5) for md5 in sorted(names)]
        _delete(paths, retention=retention, now_ms=now_ms)


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
        named = _ARTIFACT.search(file.read_bytes())
        if named is not None and named[1].decode() in kept_objects:
            decision = Decision(goes=False, reason="its artifact is in the DVC cache")
        else:
            unused = "its artifact is not kept" if named is not None else "the result of no stage"
            decision = _by_age(file, unused, retention=retention, now_ms=now_ms)
        items.append(Item("Prefect result", str(file), _size(file), decision))
    return tuple(items)


def judge_folders(*, retention: RetentionParameters, now_ms: int) -> tuple[Item, ...]:
    """Decide about folders of work by the newest file in each: nothing names them once the work is done."""
    folders = (
        ("scratch folder", (STATE / "scratch").glob("*/*"), f"work that was left {retention.days:g} days ago"),
        ("benchmark of a model", BENCHMARKS.glob("*"), "MLflow keeps its answers"),
        ("reproduced run", REPRODUCED.glob("*"), "it can be made again"),
        ("file for MLflow", leftover_files(), "left by a process that was killed"),
    )
    return tuple(
        Item(kind, str(folder), _size(folder), _by_age(folder, unused, retention=retention, now_ms=now_ms))
        for kind, found, unused in folders
        for folder in sorted(found)
        if folder.is_dir()
    )


def list_vector_versions(workspaces: Iterable[Workspace]) -> tuple[Item, ...]:
    """The versions in the workspaces' tables of vectors, which all stay.

    A version is a list of the files that it is made of, and these are shared. They belong to the artifact that dvc.lock
    names: without them it would be another one, and every stage after it would run again. The stage embed itself drops
    them when it has merged a table's files; the files of before the merge are objects of the DVC cache.
    """
    stays = Decision(goes=False, reason="part of the artifact; embed drops them when it merges files")
    return tuple(
        Item("version of vectors", str(file), _size(file), stays)
        for workspace in workspaces
        for file in sorted(workspace.artifact("vectors").glob("*.lance/_versions/*.manifest"))
    )


def delete_paths(items: Sequence[Item], *, retention: RetentionParameters, now_ms: int) -> None:
    """Delete files and folders that were decided about; one that was written to since is young, and stays."""
    _delete([Path(item.name) for item in items], retention=retention, now_ms=now_ms)


def _delete(paths: Iterable[Path], *, retention: RetentionParameters, now_ms: int) -> None:
    for path in paths:
        if not path.exists() or not _by_age(path, "", retention=retention, now_ms=now_ms).goes:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _by_age(path: Path, unused: str, *, retention: RetentionParameters, now_ms: int) -> Decision:
    """By the newest file below it."""
    changed_ms = max(one.lstat().st_mtime for one in (path, *path.rglob("*"))) * 1000
    return decide_by_age(changed_ms, retention=retention, now_ms=now_ms, unused=unused)


def _size(path: Path) -> int:
    """Bytes, what links lead to left out."""
    return sum(one.lstat().st_size for one in (path, *path.rglob("*")) if one.is_file())
