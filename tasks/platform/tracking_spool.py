"""What MLflow has not been told yet, on disk under `.presel/spool`: in order, and gone once it is told."""

import fcntl
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.storage import copy_tree, write_bytes
from tasks.platform.tracking_operations import OPERATION, LogFile, OpenRun, Operation, RegisterAdapter
from tasks.platform.workspace import STATE

SPOOL = STATE / "spool"
_DATABASE = "operations.sqlite"
_FILES = "files-"
_BUSY_SECONDS = 60.0
_TABLE = """
create table if not exists operations (
    sequence integer primary key autoincrement,
    run text not null,
    body text not null,
    refused text
)
"""


@dataclass(frozen=True, slots=True)
class SpooledOperation:
    """One entry.

    Attributes:
        sequence: its place in the order.
        operation: what is to be told.
        refused: why MLflow did not take it; None while it has not been asked.
    """

    sequence: int
    operation: Operation
    refused: str | None


def keep(operation: Operation) -> None:
    """Add an operation at the end, durably; its files are kept too, by hard links where the file system can."""
    with _connection() as connection:  # which also keeps `remove_leftovers` from taking the files for such
        body = OPERATION.dump_json(_with_own_files(operation)).decode()
        connection.execute("insert into operations (run, body) values (?, ?)", (operation.run, body))


def is_waiting(runs: Collection[str]) -> bool:
    """Whether something about one of these runs is still to be told."""
    marks = ",".join("?" * len(runs))
    query = f"select 1 from operations where refused is null and run in ({marks}) limit 1"  # noqa: S608 -- only marks
    return _exists() and bool(_select(query, tuple(runs)))


def waiting(*, after: int = 0, limit: int = 1000) -> tuple[SpooledOperation, ...]:
    """The next operations to tell, in order."""
    if not _exists():
        return ()
    return _entries("refused is null and sequence > ? order by sequence limit ?", (after, limit))


def refused() -> tuple[SpooledOperation, ...]:
    """Operations that MLflow did not take, in order; they are kept until `discard_refused`."""
    return _entries("refused is not null order by sequence", ()) if _exists() else ()


def count_waiting() -> int:
    """How many operations are still to be told."""
    return len(_select("select 1 from operations where refused is null", ())) if _exists() else 0


def forget(entry: SpooledOperation) -> None:
    """MLflow has it: remove the operation, then its files."""
    with _connection() as connection:
        connection.execute("delete from operations where sequence = ?", (entry.sequence,))
    folder = _files_of(entry.operation)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def refuse(entry: SpooledOperation, reason: str) -> None:
    """MLflow did not take it: put it aside with the reason, so that it does not hold up what follows."""
    with _connection() as connection:
        connection.execute("update operations set refused = ? where sequence = ?", (reason, entry.sequence))


def remove_leftovers() -> None:
    """Remove files whose operation a killed process never wrote down, when nothing else is kept."""
    if not _exists():
        return
    with _connection() as connection:
        if connection.execute("select 1 from operations limit 1").fetchone() is None:
            for folder in SPOOL.glob(f"{_FILES}*"):
                shutil.rmtree(folder)


def discard_refused() -> int:
    """Delete what MLflow did not take.

    Returns:
        Operations deleted.
    """
    entries = refused()
    for entry in entries:
        forget(entry)
    return len(entries)


@contextmanager
def only_sender() -> Iterator[bool]:
    """Hold the right to send; yields whether this process has it, because two would tell everything twice."""
    SPOOL.mkdir(parents=True, exist_ok=True)
    with (SPOOL / "sender.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _exists() -> bool:
    return (SPOOL / _DATABASE).is_file()


@contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    SPOOL.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(SPOOL / _DATABASE, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("pragma synchronous=full")
        connection.execute("begin immediate")
        with connection:
            connection.execute(_TABLE)
            yield connection


def _select(query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
    with _connection() as connection:
        return connection.execute(query, values).fetchall()


def _entries(condition: str, values: tuple[object, ...]) -> tuple[SpooledOperation, ...]:
    rows = _select(f"select sequence, body, refused from operations where {condition}", values)  # noqa: S608 -- constant
    return tuple(
        SpooledOperation(int(str(sequence)), OPERATION.validate_json(str(body)), None if why is None else str(why))
        for sequence, body, why in rows
    )


def _with_own_files(operation: Operation) -> Operation:
    """The operation with files of the spool's own: the next run may replace the report and the adapter."""
    if isinstance(operation, LogFile):
        source = Path(operation.file)
        target = Path(tempfile.mkdtemp(dir=SPOOL, prefix=_FILES)) / source.name
        # Copied, not linked: DVC writes dvc.lock again in place.
        write_bytes(target, source.read_bytes())
        return operation.model_copy(update={"file": str(target)})
    if isinstance(operation, RegisterAdapter):
        target = Path(tempfile.mkdtemp(dir=SPOOL, prefix=_FILES)) / "adapter"
        target.mkdir()
        copy_tree(Path(operation.adapter), target)
        return operation.model_copy(update={"adapter": str(target)})
    return operation


def _files_of(operation: Operation) -> Path | None:
    """The folder of the spool that holds the operation's files."""
    if isinstance(operation, LogFile):
        return Path(operation.file).parent
    return Path(operation.adapter).parent if isinstance(operation, RegisterAdapter) else None


def runs_of(operation: Operation) -> tuple[str, ...]:
    """The runs that must be known to MLflow before it can be told this."""
    parent = (operation.parent,) if isinstance(operation, OpenRun) and operation.parent else ()
    return (operation.run, *parent)
