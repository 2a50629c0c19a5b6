"""Artifacts of any version by the hashes that DVC gives them, whatever the workspace holds now.

A file is named by the md5 of its bytes, a folder by that of the JSON listing of its files with `.dir` at its end.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.lineage.lock_file import LineageError, LockedPath, inner_path
from components.storage import PARTIAL, link_or_copy

FOLDER_SUFFIX = ".dir"
FindObject = Callable[[str], Path | None]  # md5, with `.dir` for a listing, to a file; None: it is lost


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a folder: its path in it, and its content's md5."""

    path: str
    md5: str


def file_hash(file: Path) -> str:
    """md5 of a file's bytes, hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_listing(folder: Path) -> tuple[ListedFile, ...]:
    """Every file of a folder by path, unfinished ones left out."""
    files = sorted(
        (file.relative_to(folder).as_posix(), file)
        for file in folder.rglob("*")
        if file.is_file() and not any(part.endswith(PARTIAL) for part in file.relative_to(folder).parts)
    )
    return tuple(ListedFile(path, file_hash(file)) for path, file in files)


def listing_hash(listing: tuple[ListedFile, ...]) -> str:
    """The name that DVC gives a folder with these files."""
    rows = [{"md5": one.md5, "relpath": one.path} for one in sorted(listing, key=lambda one: one.path)]
    text = json.dumps(rows, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + FOLDER_SUFFIX


def read_listing(file: Path) -> tuple[ListedFile, ...]:
    """Read the listing of a folder from DVC's cache.

    Raises:
        LineageError: it is no such listing, or a path in it leads out of the folder.
    """
    try:
        rows = json.loads(file.read_bytes())
        listed = tuple(ListedFile(str(row["relpath"]), str(row["md5"])) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise LineageError(f"{file} is not the listing of a folder ({error}); restore it from the DVC remote") from None
    for one in listed:
        if not one.path:
            raise LineageError(f"{file} lists a file without a path; restore it from the DVC remote")
        inner_path(one.path, f"{file}: the listed path")
    return listed


def listing_of(artifact: LockedPath, find: FindObject) -> tuple[ListedFile, ...]:
    """The files of an artifact.

    Raises:
        LineageError: its listing is neither in the DVC cache nor in the remote.
    """
    if not artifact.md5.endswith(FOLDER_SUFFIX):
        return (ListedFile("", artifact.md5),)
    return read_listing(_found(artifact.md5, artifact.path, find))


def artifact_file(artifact: LockedPath, name: str, find: FindObject) -> Path:
    """One file of an artifact, as it lies in the cache.

    Args:
        artifact: a folder at a version.
        name: path of the file in it.
        find: the object store.

    Raises:
        LineageError: the artifact has no such file, or it is lost.
    """
    for listed in listing_of(artifact, find):
        if listed.path == name:
            return _found(listed.md5, f"{artifact.path}/{name}", find)
    raise LineageError(f"{artifact.path} at version {artifact.md5} has no file {name}")


def check_out(artifact: LockedPath, target: Path, find: FindObject, *, link: bool) -> None:
    """Lay an artifact out as a folder.

    Args:
        artifact: at a version.
        target: the folder to make; must not exist.
        find: the object store.
        link: hard links to the cache where the file system can, for readers; False: copies that may be written to.

    Raises:
        LineageError: a file is lost.
    """
    files = [(one.path, _found(one.md5, f"{artifact.path}/{one.path}", find)) for one in listing_of(artifact, find)]
    for path, source in files:
        _place(source, target / path if path else target, link=link)


def _place(source: Path, target: Path, *, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        link_or_copy(source, target)
    else:
        shutil.copyfile(source, target)


def _found(md5: str, name: str, find: FindObject) -> Path:
    path = find(md5)
    if path is None:
        raise LineageError(
            f"{name} at version {md5} is neither in the DVC cache nor in the remote; restore either from a backup"
        )
    return path
