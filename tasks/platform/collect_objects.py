"""Objects of the DVC cache that nothing needs any more."""

import logging
from collections.abc import Collection
from pathlib import Path

from components.lineage.content_hash import FOLDER_SUFFIX, read_listing
from components.lineage.retention import Decision, Item, decide_by_age
from components.parameters.retention import RetentionParameters
from tasks.platform.versioning import open_repository

KIND = "DVC cache object"


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
        cache = repository.cache.local
        # It warns of every output that no dvc.lock names, such as those of a project that works in runs/ only.
        logging.getLogger("dvc.output").setLevel(logging.ERROR)
        by_dvc = repository.used_objs(all_branches=True, all_tags=True)
        in_workspaces = {found.value for used in by_dvc.values() for found in used}
        paths = {md5: Path(cache.oid_to_path(md5)) for md5 in cache.all()}
    by_runs = _with_files(needed, paths)
    in_workspaces |= _with_files(in_workspaces, paths)
    for md5, path in sorted(paths.items()):
        status = path.stat()
        if md5 in by_runs:
            decision = Decision(goes=False, reason="a kept run or a registered model needs it")
        elif md5 in in_workspaces:
            decision = Decision(goes=False, reason="a workspace, a branch or a tag needs it")
        else:
            changed_ms = status.st_mtime * 1000
            unused = "nothing that is kept needs it"
            decision = decide_by_age(changed_ms, retention=retention, now_ms=now_ms, unused=unused)
        items.append(Item(KIND, md5, status.st_size, decision))
    return tuple(items), frozenset(item.name for item in items if not item.decision.goes)


def delete_objects(names: Collection[str], retention: RetentionParameters, *, now_ms: int) -> int:
    """Delete objects of the cache that were decided about, and no other: what came since may be needed.

    Args:
        names: their hashes.
        retention: the policy; an object that was written again since the decision is young, and stays.
        now_ms: milliseconds since 1970.

    Returns:
        Objects deleted.
    """
    deleted = 0
    with open_repository() as repository, repository.lock:
        cache = repository.cache.local
        for md5 in sorted(names):
            path = Path(cache.oid_to_path(md5))
            if not path.exists():
                continue
            age = decide_by_age(path.stat().st_mtime * 1000, retention=retention, now_ms=now_ms, unused="")
            if age.goes:
                path.unlink()
                deleted += 1
    return deleted


def _with_files(artifacts: Collection[str], paths: dict[str, Path]) -> set[str]:
    """Hashes of artifacts, and of the files in those that the cache has."""
    found = set(artifacts)
    for md5 in artifacts:
        if md5.endswith(FOLDER_SUFFIX) and md5 in paths:
            found |= {one.md5 for one in read_listing(paths[md5])}
    return found
