"""Durable reading and writing: temporary name, fsync, rename; a directory's record is written last."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import UserError

RECORD_NAME = "artifact.json"
# Unfinished files and directories end in this; .dvcignore leaves them out of every artifact.
PARTIAL = ".partial"


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the new one, also after a power cut."""
    with _replacement(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write JSON with sorted keys, so that equal values are equal files."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    # Halves of surrogate pairs, which JSON may hold and UTF-8 may not, become the escapes that they are in JSON.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


class DamagedFileError(UserError, ValueError):
    """A file that the project wrote itself cannot be read."""


def read_json(path: Path, *, advice: str) -> Any:
    """Read a file that `write_json` wrote.

    Args:
        path: the file.
        advice: what to do about one that is damaged.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFileError: it is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged ({error}); {advice}") from error


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file as `write_bytes` does, without holding its bytes twice in memory."""
    with _replacement(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


@contextmanager
def _replacement(path: Path) -> Iterator[Path]:
    """A new file that takes the place of `path`, durably, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "rb+") as file:
            os.fchmod(file.fileno(), 0o644)  # mkstemp's 0600 would lock others out of a shared cache
            yield temporary
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet file (or a directory of them, in name order) and check its columns.

    Args:
        path: a Parquet file or a directory of Parquet files.
        schema: the columns expected, from `components.schemas`.

    Returns:
        The table with exactly the schema's columns, in its order.

    Raises:
        FileNotFoundError: no such file.
        DamagedFileError: a file is not whole.
        ValueError: a column is missing or has another type.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    tables = [_read_whole(file) for file in files]
    for file, table in zip(files, tables, strict=True):
        missing = [name for name in schema.names if name not in table.column_names]
        if missing:
            raise ValueError(f"{file}: columns {missing} are missing; it has {table.column_names}")
    if not tables:
        return schema.empty_table()
    return pa.concat_tables([table.select(schema.names).cast(schema) for table in tables])


def _read_whole(file: Path) -> pa.Table:
    try:
        return pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        if not file.exists():
            raise
        raise DamagedFileError(
            f"{file} is damaged ({error}); delete {file.parent}: a run brings it back from the DVC cache, or makes it "
            "again"
        ) from error


def write_record(directory: Path, *, stage: str, rows: int, schema_version: int) -> None:
    """Close an artifact: `artifact.json` is written last, so a directory that has one is complete.

    Args:
        directory: of the artifact.
        stage: that made it.
        rows: of its main table.
        schema_version: `components.schemas.SCHEMA_VERSION`.
    """
    write_json(directory / RECORD_NAME, {"stage": stage, "rows": rows, "schema_version": schema_version})


@contextmanager
def fresh_directory(target: Path) -> Iterator[Path]:
    """A temporary directory that takes the place of `target` when the block ends without an error.

    What a killed process left half-written beside the same target is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f".{target.name}.*{PARTIAL}"):
        shutil.rmtree(stale)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=PARTIAL))
    temporary.chmod(0o755)
    try:
        yield temporary
        if target.exists():
            retired = temporary.with_name(f"{temporary.name}.old{PARTIAL}")
            target.rename(retired)
            temporary.rename(target)
            shutil.rmtree(retired)
        else:
            temporary.rename(target)
        _sync_directory(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder's files into another that exists; where the file system can, by hard links, which costs nothing.

    Neither copy may be changed in place afterwards.
    """
    shutil.copytree(source, target, copy_function=link_or_copy, dirs_exist_ok=True)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Make a hard link of a file, or a copy where the file system refuses one; of a symbolic link's file, not of it."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
