"""Whether artifacts still have the content that dvc.lock names; what has not is a mismatch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.lineage.lock_file import LineageError, LockedPath, LockedStage, is_within
from components.lineage.objects import FOLDER_SUFFIX, FindObject, ListedFile, file_hash, folder_listing, read_listing

LOST = "nothing"
STORED = "stored artifact"
IN_WORKSPACE = "workspace"
CHAIN = "dvc.lock"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What a check found.

    Attributes:
        check: which check.
        name: of what: a file, a sample, a request.
        expected: what the record says.
        found: what is there.
    """

    check: str
    name: str
    expected: str
    found: str


def compare_files(check: str, expected: Iterable[ListedFile], found: Iterable[ListedFile]) -> list[Mismatch]:
    """Hold the files of two folders against each other by path and content.

    Args:
        check: name of the check.
        expected: files as they are to be.
        found: files as they are.
    """
    should, is_there = ({one.path: one.md5 for one in files} for files in (expected, found))
    return [
        Mismatch(check, path, should.get(path, LOST), is_there.get(path, LOST))
        for path in sorted(should.keys() | is_there.keys())
        if should.get(path) != is_there.get(path)
    ]


def check_stored(artifact: LockedPath, find: FindObject) -> tuple[tuple[ListedFile, ...], list[Mismatch]]:
    """Hash the stored files of an artifact again.

    Args:
        artifact: a version of it.
        find: the object store.

    Returns:
        Its files as its listing names them, none when the listing itself is lost or damaged; and what is wrong.
    """
    if not artifact.md5.endswith(FOLDER_SUFFIX):
        listing: tuple[ListedFile, ...] = (ListedFile("", artifact.md5),)
    else:
        stored = find(artifact.md5)
        wrong = _check_object(f"{artifact.path} (list of files)", artifact.md5, stored)
        if wrong or stored is None:
            return (), wrong
        listing = read_listing(stored)
    wrong = []
    for listed in listing:
        name = f"{artifact.path}/{listed.path}".rstrip("/")
        wrong += _check_object(name, listed.md5, find(listed.md5))
    return listing, wrong


def check_workspace_folder(artifact: LockedPath, listing: tuple[ListedFile, ...], folder: Path) -> list[Mismatch]:
    """Hash what lies in a workspace again.

    Args:
        artifact: the version that the workspace says it holds.
        listing: its files.
        folder: where they lie.
    """
    if not folder.exists():
        return [Mismatch(IN_WORKSPACE, artifact.path, artifact.md5, LOST)]
    named = [ListedFile(f"{artifact.path}/{one.path}", one.md5) for one in listing]
    found = [ListedFile(f"{artifact.path}/{one.path}", one.md5) for one in folder_listing(folder)]
    return compare_files(IN_WORKSPACE, named, found)


def check_chain(stages: tuple[LockedStage, ...], listings: dict[str, tuple[ListedFile, ...]]) -> list[Mismatch]:
    """Whether every stage read what the stage before it wrote.

    Args:
        stages: of a dvc.lock.
        listings: the files of every output, by its path; an output without one is not looked into.
    """
    written = {output.path: output for stage in stages for output in stage.writes}
    wrong = []
    for stage in stages:
        for read in stage.reads:
            expected = _written_hash(read, written, listings)
            if expected is not None and expected != read.md5:
                wrong.append(Mismatch(CHAIN, f"{stage.name} read {read.path}", expected, read.md5))
    return wrong


def _written_hash(
    read: LockedPath, written: dict[str, LockedPath], listings: dict[str, tuple[ListedFile, ...]]
) -> str | None:
    if read.path in written:
        return written[read.path].md5
    for path, listing in listings.items():
        if is_within(read.path, path):
            inside = read.path.removeprefix(f"{path}/")
            return next((one.md5 for one in listing if one.path == inside), None)
    return None


def _check_object(name: str, md5: str, stored: Path | None) -> list[Mismatch]:
    if stored is None:
        return [Mismatch(STORED, name, md5, LOST)]
    suffix = FOLDER_SUFFIX if md5.endswith(FOLDER_SUFFIX) else ""
    found = file_hash(stored) + suffix
    if found != md5:
        return [Mismatch(STORED, name, md5, found)]
    if suffix:
        try:
            read_listing(stored)
        except LineageError:
            return [Mismatch(STORED, name, "a list of files", "something else")]
    return []
