"""What a person can do about a file that cannot be used."""

import errno
import os
import stat
from pathlib import Path

FREE_SPACE = (
    "Free space where the project (.presel and .dvc/cache with it) and the ledger lie (`presel gc` says what may go), "
    "or raise the quota"
)
_MAY_NOT = frozenset({errno.EACCES, errno.EPERM})
_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE})
_FAILS = frozenset({errno.EIO, errno.ESTALE, errno.EREMOTEIO, errno.ENODEV})
_TEXTS = {
    "Permission denied": errno.EACCES,
    "Operation not permitted": errno.EPERM,
    "Read-only file system": errno.EROFS,
    "Too many open files": errno.EMFILE,
    "Input/output error": errno.EIO,
}


def file_advice(error: BaseException) -> str:
    """Whose the file is and what to do about it, as a sentence without its full stop.

    Args:
        error: one of the system, or of a library that repeats what the system says.

    Returns:
        The advice; empty when it is about no file, or the message has to do.
    """
    if isinstance(error, OSError):
        number, path = error.errno, error.filename2 or error.filename
    elif isinstance(error, ValueError):  # it quotes what a person gave, which may say anything
        return ""
    else:
        number, path = next((number for text, number in _TEXTS.items() if text in str(error)), None), None
    if number in _MAY_NOT:
        where = _folder_or_file(path) if isinstance(path, str | Path) else ""
        return (
            f"User {os.geteuid()} may not do that{where}: run presel as the user that it belongs to, or give this one "
            "the right (chown, chmod, or a container's --user)"
        )
    if number == errno.EROFS:
        return "It lies on a disk that is mounted read-only: mount it for writing, or move the project to another"
    if number in _FULL:
        return FREE_SPACE
    if number in _TOO_MANY:
        return "Let the process open more files at once (`ulimit -n 4096`), then call again"
    if number in _IN_THE_WAY:
        return "Something of another kind has the place: move it away, or give another path"
    if number in _FAILS:
        return "The disk or its server fails: look at its health, then call again"
    return ""


def _folder_or_file(path: str | Path) -> str:
    """Whose the path is, or the nearest folder above it that this user can look at."""
    for looked in (Path(path).absolute(), *Path(path).absolute().parents):
        try:
            found = looked.stat()
        except (OSError, ValueError):
            continue
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "file"
        return f" (the {kind} {looked} is user {found.st_uid}'s, mode {stat.S_IMODE(found.st_mode):o})"
    return ""
