"""What every LanceDB table of the project has in common: one writer, a primary key, a first version or none at all."""

import fcntl
import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components.models.lance_manifest import NamedFile, UnknownManifestError, is_cut, named_files

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
    """Set tables aside whose writer was killed before their first version: they can be neither read nor made anew."""
    for table in _tables(directory, prefix):
        if not _is_born(table):
            _set_aside(table, "unborn", "its writer was killed before it had a first version")


def repair_tables(directory: Path, prefix: str) -> int:
    """Take tables back to their newest version that is whole; to be called by the one writer before it goes on.

    LanceDB does not wait for the disk: after a power cut, or on a disk that was full, the newest version's manifest or
    data may be cut short. What only the versions taken back held is missing afterwards, and is computed again.

    A version is taken back only on proof: its manifest, or a file that it names, is gone, empty or cut. Whatever else
    stands in the way (no permission, too many open files, a disk that is away, a newer format) is raised and changes
    nothing. Nothing is deleted: manifests taken back are kept in the table's folder, a table without a whole version
    beside it.

    Args:
        directory: the database; it may not exist.
        prefix: of the tables' names.

    Returns:
        Versions taken back.

    Raises:
        OSError: a file cannot be looked at.
        RuntimeError: LanceDB cannot read a table whose files are whole.
    """
    taken_back = 0
    for table in _tables(directory, prefix):
        damaged: list[tuple[Path, str]] = []
        manifests = _manifests(table)
        for manifest in manifests:
            damage = _damage(table, manifest)
            if damage is None:
                break
            damaged.append((manifest, damage))
        if manifests and len(damaged) == len(manifests):
            reason = f"none of its {len(manifests)} versions is whole: {damaged[0][1]}"
            _set_aside(table, "damaged", f"{reason}; all of it is computed again")
        else:
            for manifest, damage in damaged:
                _take_back(table, manifest, damage)
            if manifests:
                _check_readable(directory, table)
        taken_back += len(damaged)
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


def _tables(directory: Path, prefix: str) -> list[Path]:
    """Unlike `glob`, raises when the folder cannot be looked into."""
    return [path for path in _listed(directory) if path.name.startswith(prefix) and path.suffix == ".lance"]


def _manifests(table: Path) -> list[Path]:
    """Of all versions, the newest first."""
    found = [path for path in _listed(table / "_versions") if path.suffix == ".manifest"]
    return sorted(found, key=_version, reverse=True)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _version(manifest: Path) -> int:
    """LanceDB counts the names of its manifests down, so that a listing begins with the newest; older ones count up."""
    number = int(manifest.stem)
    return _LAST_NAME - number if number > _LAST_NAME // 2 else number


def _damage(table: Path, manifest: Path) -> str | None:
    """Proof that a version cannot be read any more, or None."""
    content = manifest.read_bytes()
    if is_cut(content):
        return "its manifest is empty or cut"
    try:
        files = named_files(content)
    except UnknownManifestError as error:
        logger.warning("%s: %s, so its files are left to LanceDB to check", manifest, error)
        return None
    return next((damage for file in files if (damage := _file_damage(table / file.path, file)) is not None), None)


def _file_damage(path: Path, file: NamedFile) -> str | None:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - len(file.ending), 0))
            ending = stream.read()
    except FileNotFoundError:
        return f"{file.path} is gone"
    if not size:
        return f"{file.path} is empty"
    if size < file.size:
        return f"{file.path} is cut: {size} of {file.size} bytes"
    return None if ending.endswith(file.ending) else f"{file.path} is cut: its end is missing"


def _take_back(table: Path, manifest: Path, damage: str) -> None:
    kept = _free(table / "_taken_back" / f"{manifest.name}.damaged")
    kept.parent.mkdir(exist_ok=True)
    manifest.rename(kept)
    logger.warning(
        "%s: version %d is taken back (%s), and what only it held is computed again; its manifest is kept as %s",
        table,
        _version(manifest),
        damage,
        kept,
    )


def _set_aside(table: Path, why: str, reason: str) -> None:
    aside = _free(table.with_name(f"{table.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))
    table.rename(aside)
    logger.warning("%s is set aside as %s: %s; delete it when nobody needs it", table, aside, reason)


def _free(path: Path) -> Path:
    """The path, with a number where something lies there already."""
    names = (path if not count else path.with_name(f"{path.name}-{count}") for count in itertools.count())
    return next(name for name in names if not name.exists())


def _check_readable(directory: Path, table: Path) -> None:
    """Reading the first column looks at the head and the end of every file."""
    import lancedb  # takes a second, which a run that finds its vectors in the cache does without

    try:
        opened = lancedb.connect(directory).open_table(table.stem)
        for _ in opened.search().select([opened.schema.names[0]]).to_batches():
            pass
    except (RuntimeError, ValueError, OSError) as error:  # LanceDB has no errors of its own
        raise RuntimeError(
            f"{table} cannot be read although every file of it is whole, so nothing was taken back: "
            f"{' '.join(str(error).split())[:300]}. Look for too many open files, permissions, a disk that is away, or "
            "a table of a newer LanceDB; if it is lost all the same, move it away, and it is computed again"
        ) from error


def _is_born(table: Path) -> bool:
    return bool(_manifests(table))
