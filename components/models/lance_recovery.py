"""A LanceDB table goes back to its newest whole version; what was lost is computed again."""

import itertools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lancedb.db import LanceDBConnection
    from lancedb.table import LanceTable

_ENDING = b"LANC"  # of manifests and data files that are whole
_LOG = logging.getLogger(__name__)


def go_back_to_whole(folder: Path, *, key: str) -> None:
    """Take a table back to its newest version that can be read.

    LanceDB does not wait for the disk: after a power cut, or on a disk that was full, a version's manifest or data
    may be gone, empty or cut short. What only the versions taken back held is missing afterwards, and is computed
    again. Without proof of that, whatever stands in the way (no permission, too many open files, a disk that is
    away, a newer format) is raised and changes nothing. Nothing is deleted.

    Args:
        folder: of the table, inside its database.
        key: column that every version must have.

    Raises:
        RuntimeError: it cannot be read although every file of it is whole.
    """
    versions = manifests(folder)
    cut = list(itertools.takewhile(lambda manifest: not _is_whole(manifest), versions))
    if not versions:
        return
    if len(cut) == len(versions):
        _set_aside(folder, "none of its versions can be read; all of it is computed again")
        return
    for manifest in cut:  # LanceDB opens no version of a table whose newest manifest is cut
        _set_aside(manifest, "it is empty or cut, and what only this version held is computed again")
    try:
        newest = connect(folder.parent).open_table(folder.stem)
        if key not in newest.schema.names:
            raise ValueError(f"it has no column {key!r}")
    except (RuntimeError, ValueError) as error:  # LanceDB has no errors of its own
        raise _unproven(folder, error) from error
    problem = _problem(newest, key=key)
    if problem is not None:
        _restore(folder, newest.version, problem, key=key)


def _restore(folder: Path, newest: int, problem: Exception, *, key: str) -> None:
    if "Not found" not in str(problem) and all(_is_whole(file) for file in listed(folder / "data")):
        raise _unproven(folder, problem) from problem
    reason = f"files of it are gone, empty or cut ({_in_one_line(problem)})"
    for version in range(newest - 1, 0, -1):
        try:
            older = connect(folder.parent).open_table(folder.stem, version=version)
        except (RuntimeError, ValueError):  # merging dropped it, or its manifest is cut
            continue
        if _problem(older, key=key) is None:
            older.restore()
            message = "%s goes back from version %d to %d: %s; what only the later ones held is computed again"
            _LOG.warning(message, folder, newest, version, reason)
            return
    _set_aside(folder, f"{reason}, in all of its versions; all of it is computed again")


def _problem(table: "LanceTable", *, key: str) -> Exception | None:
    """Why a version cannot be read: reading a column looks at the head and the end of every data file."""
    try:
        for _ in table.search().select([key]).to_batches():
            pass
    except (RuntimeError, ValueError, OSError) as error:
        return error
    return None


def connect(directory: Path) -> "LanceDBConnection":
    """Open a LanceDB database."""
    import lancedb  # takes a second, which a run that finds its vectors in the cache does without

    return lancedb.connect(directory)


def manifests(folder: Path) -> list[Path]:
    """Of all versions, the newest first: LanceDB counts their names down."""
    return [path for path in listed(folder / "_versions") if path.suffix == ".manifest"]


def listed(folder: Path) -> list[Path]:
    """What a folder holds, by name; nothing where there is none. Unlike `glob`, it raises when it cannot look."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _is_whole(file: Path) -> bool:
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - len(_ENDING), 0))
        return stream.read() == _ENDING


def _set_aside(path: Path, reason: str) -> None:
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    _LOG.warning("%s is set aside as %s: %s; delete it when nobody needs it", path, aside.name, reason)


def _unproven(folder: Path, error: Exception) -> RuntimeError:
    return RuntimeError(
        f"{folder} cannot be read although every file of it is whole, so nothing was taken back: "
        f"{_in_one_line(error)}. Look for too many open files, permissions, a disk that is away, or a table of a newer "
        "LanceDB; if it is lost all the same, move it away, and it is computed again"
    )


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
