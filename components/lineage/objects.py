"""Artifacts of any version by their hash, whatever the workspace holds now."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

from components.lineage.content_hash import FOLDER_SUFFIX, ListedFile, read_listing
from components.lineage.lock_file import LineageError, LockedPath

FindObject = Callable[[str], Path | None]  # md5, with `.dir` for a listing, to a file; None: it is lost
_LINK_REFUSED = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


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
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in _LINK_REFUSED:
                raise
        else:
            return
    shutil.copyfile(source, target)


def _found(md5: str, name: str, find: FindObject) -> Path:
    path = find(md5)
    if path is None:
        raise LineageError(
            f"{name} at version {md5} is neither in the DVC cache nor in the remote; restore either from a backup"
        )
    return path
