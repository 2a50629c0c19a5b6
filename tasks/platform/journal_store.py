"""The journal on disk: what MLflow is to know, in order, each entry with its server; gone once it is told.

An entry is durable when `append` returns. Its files are copies of the journal's own, made before the entry is written.
"""

import fcntl
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from components.storage import copy_tree, write_bytes
from tasks.platform.journal_entries import OPERATION, LogFile, Operation, RegisterAdapter
from tasks.platform.tracking import server_name
from tasks.platform.workspace import STATE

# Folder and table are named as earlier versions named them: what those left there is told as well.
JOURNAL = STATE / "spool"
_DATABASE = "operations.sqlite"
_FILES = "files-"
_BUSY_SECONDS = 60.0
_POLL_SECONDS = 0.1
_TABLE = """
create table if not exists operations (
    sequence integer primary key autoincrement,
    run text not null,
    body text not null,
    refused text,
    server text
)
"""
UNKNOWN_SERVER = "an unnamed server (kept by an earlier version)"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry.

    Attributes:
        sequence: its place in the order.
        run: which it is about.
        operation: what is to be told; None where this version cannot read it.
        problem: why the server did not take it, or why it cannot be read; empty where nothing is known to be wrong.
    """

    sequence: int
    run: str
    operation: Operation | None
    problem: str

    def __str__(self) -> str:
        kind = "unreadable entry" if self.operation is None else self.operation.kind
        return f"{kind} of run {self.run}: {self.problem}"


def append(operation: Operation) -> None:
    """Write an operation down for the configured server; its files are kept too, by hard links where possible."""
    body = _with_own_files(operation).model_dump_json()
    with _connection() as connection:
        values = (operation.run, body, server_name())
        connection.execute("insert into operations (run, body, server) values (?, ?, ?)", values)


def waiting(*, after: int = 0, limit: int = 1000) -> tuple[JournalEntry, ...]:
    """The next entries for the configured server, in order, with numbers above `after`."""
    condition = "refused is null and server = ? and sequence > ? order by sequence limit ?"
    return _entries(condition, (server_name(), after, limit))


def count_waiting() -> int:
    """Entries that wait for the configured server."""
    return _waiting_by_server().get(server_name(), 0)


def waiting_elsewhere() -> tuple[tuple[str, int], ...]:
    """Entries that wait for other servers than the configured one, as (server, entries)."""
    return tuple(item for item in _waiting_by_server().items() if item[0] != server_name())


def refused() -> tuple[JournalEntry, ...]:
    """Entries that a server did not take, in order; they are kept until `forget`."""
    return _entries("refused is not null order by sequence", ())


def entries_for(server: str) -> tuple[JournalEntry, ...]:
    """What waits for a server, named as `waiting_elsewhere` names it."""
    return _entries(
        "refused is null and coalesce(server, '') = ? order by sequence", ("" if server == UNKNOWN_SERVER else server,)
    )


def adopt_unnamed() -> None:
    """Take entries of an earlier version, which do not say their server, for the configured one's."""
    if _exists():
        with _connection() as connection:
            connection.execute("update operations set server = ? where server is null", (server_name(),))


def settle(entries: Collection[JournalEntry], problems: Mapping[int, str]) -> None:
    """Remove entries that the server has, then their files; put those with a problem aside, so that others go on.

    Args:
        entries: of which the server was told.
        problems: why it did not take one, by its number.
    """
    with _connection() as connection:
        for entry in entries:
            if entry.sequence in problems:
                values = (problems[entry.sequence], entry.sequence)
                connection.execute("update operations set refused = ? where sequence = ?", values)
            else:
                connection.execute("delete from operations where sequence = ?", (entry.sequence,))
    for entry in entries:
        folder = _files_of(entry.operation)
        # An entry may have been tampered with: nothing outside the journal is deleted.
        if folder is not None and folder.resolve().parent == JOURNAL.resolve() and entry.sequence not in problems:
            shutil.rmtree(folder, ignore_errors=True)


def forget(entries: Collection[JournalEntry]) -> int:
    """Delete entries without telling anybody.

    Returns:
        How many.
    """
    settle(entries, {})
    return len(entries)


def leftover_files() -> tuple[Path, ...]:
    """Folders of files that no entry names: of a process that was killed before it wrote the entry, or is about to."""
    folders = tuple(sorted(JOURNAL.glob(f"{_FILES}*")))
    bodies = [str(body) for (body,) in _select("select body from operations", ())]
    return tuple(folder for folder in folders if not any(folder.name in body for body in bodies))


@contextmanager
def only_sender(*, patience: float) -> Iterator[bool]:
    """Hold the right to send; yields whether this thread has it, because two would tell everything twice.

    Args:
        patience: seconds to wait for another sender.
    """
    JOURNAL.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with (JOURNAL / "sender.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    yield False
                    return
                time.sleep(_POLL_SECONDS)
            else:
                yield True
                return


def _exists() -> bool:
    return (JOURNAL / _DATABASE).is_file()


@contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    JOURNAL.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(JOURNAL / _DATABASE, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("pragma synchronous=full")
        connection.execute("begin immediate")
        with connection:
            connection.execute(_TABLE)
            columns = {row[1] for row in connection.execute("pragma table_info(operations)")}
            if "server" not in columns:  # of an earlier version
                connection.execute("alter table operations add column server text")
            yield connection


def _select(query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
    if not _exists():
        return []
    with _connection() as connection:
        return connection.execute(query, values).fetchall()


def _waiting_by_server() -> dict[str, int]:
    query = "select coalesce(server, ?), count(*) from operations where refused is null group by 1 order by 1"
    return {str(server): int(str(count)) for server, count in _select(query, (UNKNOWN_SERVER,))}


def _entries(condition: str, values: tuple[object, ...]) -> tuple[JournalEntry, ...]:
    query = f"select sequence, run, body, coalesce(refused, '') from operations where {condition}"  # noqa: S608 -- constant
    return tuple(
        _entry(int(str(sequence)), str(run), str(body), str(refused))
        for sequence, run, body, refused in _select(query, values)
    )


def _entry(sequence: int, run: str, body: str, refused: str) -> JournalEntry:
    try:
        return JournalEntry(sequence, run, OPERATION.validate_json(body), refused)
    except ValidationError as error:
        return JournalEntry(sequence, run, None, refused or f"this version cannot read it: {error}")


def _with_own_files(operation: Operation) -> Operation:
    """The operation with files of the journal's own: the next run may replace the report and the adapter."""
    if isinstance(operation, LogFile):
        source = Path(operation.file)
        target = _folder() / source.name
        # Copied, not linked: DVC writes dvc.lock again in place.
        write_bytes(target, source.read_bytes())
        return operation.model_copy(update={"file": str(target)})
    if isinstance(operation, RegisterAdapter):
        target = _folder() / "adapter"
        target.mkdir()
        copy_tree(Path(operation.adapter), target)
        return operation.model_copy(update={"adapter": str(target)})
    return operation


def _folder() -> Path:
    JOURNAL.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=JOURNAL, prefix=_FILES))


def _files_of(operation: Operation | None) -> Path | None:
    """The folder of the journal that holds the operation's files."""
    if isinstance(operation, LogFile):
        return Path(operation.file).parent
    return Path(operation.adapter).parent if isinstance(operation, RegisterAdapter) else None
