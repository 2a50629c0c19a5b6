"""What every LanceDB table of the project has in common: one writer, a primary key, a first version or none at all."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lancedb

_LAST_NAME = 2**64 - 1
logger = logging.getLogger(__name__)


@contextmanager
def single_writer(directory: Path) -> Iterator[None]:
    """Keep a second writer out of the database while the block runs; a killed writer's hold ends with it.

    Raises:
        RuntimeError: another process writes to it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RuntimeError(f"another process writes vectors to {directory}; wait for it to end or stop it") from None
    finally:
        os.close(descriptor)


def open_tables(directory: Path, prefix: str) -> "list[lancedb.table.Table]":
    """The tables whose names begin so, by name; none where the database does not exist."""
    if not directory.is_dir():
        return []
    import lancedb  # takes a second, which a run that finds its vectors in the cache does without

    database = lancedb.connect(directory)
    names = sorted(name for name in database.list_tables().tables if name.startswith(prefix))
    return [database.open_table(name) for name in names if _is_born(directory / f"{name}.lance")]


def remove_unborn(directory: Path, prefix: str) -> None:
    """Remove tables whose writer was killed before they had a first version: they can be neither read nor made anew."""
    for table in directory.glob(f"{prefix}*.lance"):
        if not _is_born(table):
            logger.warning("removing %s: its writer was killed before it had a first version", table)
            shutil.rmtree(table)


def repair_tables(directory: Path, prefix: str) -> int:
    """Take tables back to their newest version that can be read; to be called by the one writer before it goes on.

    LanceDB does not wait for the disk: after a power cut, or on a disk that was full, the newest version's manifest or
    data may be cut short. What only the versions taken back held is missing afterwards, and is computed again.

    Args:
        directory: the database; it may not exist.
        prefix: of the tables' names.

    Returns:
        Versions taken back.
    """
    taken_back = 0
    for table in sorted(directory.glob(f"{prefix}*.lance")):
        while (manifests := _manifests(table)) and (problem := _problem(directory, table.stem)) is not None:
            newest, *older = manifests
            logger.warning(
                "%s: version %d cannot be read (%s); %s",
                table,
                _version(newest),
                problem,
                "it is removed, and what only it held is computed again"
                if older
                else "it was the only one, so the table is removed and all of it computed again",
            )
            taken_back += 1
            if older:
                newest.unlink()
            else:
                shutil.rmtree(table)
    return taken_back


def primary_key(position: int) -> dict[str, str]:
    """Field metadata that marks a column of the primary key.

    Without it concurrent upserts duplicate rows silently. Table.set_unenforced_primary_key takes one column only, the
    metadata takes several.

    Args:
        position: of the column in the key, from 1.
    """
    return {
        "lance-schema:unenforced-primary-key": "true",
        "lance-schema:unenforced-primary-key:position": str(position),
    }


def _manifests(table: Path) -> list[Path]:
    """Of all versions, the newest first."""
    return sorted((table / "_versions").glob("*.manifest"), key=_version, reverse=True)


def _version(manifest: Path) -> int:
    """LanceDB counts the names of its manifests down, so that a listing begins with the newest; older ones count up."""
    number = int(manifest.stem)
    return _LAST_NAME - number if number > _LAST_NAME // 2 else number


def _problem(directory: Path, name: str) -> str | None:
    """Why a table cannot be read, or None. Reading its first column looks at the head and the end of every file."""
    import lancedb  # takes a second, which a run that finds its vectors in the cache does without

    try:
        table = lancedb.connect(directory).open_table(name)
        if not table.schema.names:
            return "it has no columns"  # a manifest of zeros is taken for an empty one
        for _ in table.search().select([table.schema.names[0]]).to_batches():
            pass
    except (RuntimeError, ValueError, OSError) as error:  # LanceDB has no errors of its own
        return " ".join(str(error).split())[:200]
    return None


def _is_born(table: Path) -> bool:
    return any((table / "_versions").glob("*.manifest"))
