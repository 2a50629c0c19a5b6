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


def _is_born(table: Path) -> bool:
    return any((table / "_versions").glob("*.manifest"))
