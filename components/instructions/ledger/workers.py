"""Who buys through a ledger, and whether they are still alive.

Every purchase has a number. While it lives it holds a lock of that number: on a file beside a SQLite ledger, or an
advisory lock of a PostgreSQL session of its own. The system drops the lock however the process ends, so no clock and no
time-out decides whether what a purchase had in hand may be sent by another. A lock can also go while its purchase lives
(a session that is cut off); so a purchase looks at its own before every claim, and takes it again when it is gone.
"""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import SQLAlchemyError

from components.instructions.ledger.ledger import Ledger, now_text
from components.instructions.ledger.tables import WORKERS

_LOG = logging.getLogger(__name__)
# First half of the key of PostgreSQL's two-part advisory locks; the second is the worker's number.
_LOCK_CLASS = 0x70_72_65_73
# Of the session that holds the lock: the server does not end it because it is quiet, and notices within minutes when
# the purchase's machine is gone. Settings that the server does not know are left out.
_KEEP_SESSION = text(
    "SELECT set_config(name, CASE name WHEN 'tcp_keepalives_idle' THEN '60' WHEN 'tcp_keepalives_interval' THEN '10' "
    "WHEN 'tcp_keepalives_count' THEN '6' ELSE '0' END, false) FROM pg_settings WHERE name IN "
    "('tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', 'idle_session_timeout')"
)


class HeldLock(Protocol):
    """What shows others that a worker is alive."""

    def is_held(self, connection: Connection) -> bool:
        """Whether it is, at this moment; `connection` is in the transaction that claims."""

    def take(self) -> None:
        """Take it, or take it again. Waits for those who are taking over what the worker had in hand."""

    def drop(self) -> None:
        """Let go of it."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One purchase, as others see it.

    Attributes:
        number: by which the ledger knows it.
        lock: that it holds while it lives.
    """

    number: int
    lock: HeldLock


@contextmanager
def registered_worker(ledger: Ledger, *, run: str) -> Iterator[Worker]:
    """Take part in buying.

    Args:
        ledger: where.
        run: label of the curation run.

    Yields:
        The worker; others see it as alive until the block ends.
    """
    row = {"run": run, "host": socket.gethostname(), "process": os.getpid(), "started_at": now_text()}
    with ledger.writer.begin() as connection:
        number = int(connection.execute(insert(WORKERS).returning(WORKERS.c.number), row).scalar_one())
    lock: HeldLock
    if ledger.engine.dialect.name == "postgresql":
        lock = _SessionLock(ledger, number)
    else:
        lock = _FileLock(None if ledger.file is None else _lock_file(ledger.file, number))
    # Nobody else learns the number before something is claimed under it, and that is after this.
    lock.take()
    try:
        yield Worker(number, lock)
    finally:
        lock.drop()


def is_alive(ledger: Ledger, connection: Connection, number: int) -> bool:
    """Whether a worker may still settle what it announced.

    Args:
        ledger: where.
        connection: in the transaction that takes over what a dead worker had in hand: until it ends, the worker cannot
            take its lock again.
        number: of the worker.
    """
    if connection.dialect.name == "postgresql":
        # Shared: two that look at the same time both see the truth.
        statement = text("SELECT pg_try_advisory_xact_lock_shared(:class, :number)")
        return not connection.execute(statement, {"class": _LOCK_CLASS, "number": number}).scalar_one()
    if ledger.file is None:
        return False
    try:
        stream = _lock_file(ledger.file, number).open("r+")
    except FileNotFoundError:
        return False
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class _SessionLock:
    """An advisory lock of a PostgreSQL session, which holds it for as long as it is connected."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._engine = ledger.engine
        self._key = {"class": _LOCK_CLASS, "number": number}
        self._session: Connection | None = None
        self._server_process = 0

    def is_held(self, connection: Connection) -> bool:
        """See `HeldLock`."""
        statement = text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = :class AND objid = :number "
            "AND objsubid = 2 AND granted AND pid = :pid"
        )
        return bool(connection.execute(statement, {**self._key, "pid": self._server_process}).scalar_one())

    def take(self) -> None:
        """See `HeldLock`."""
        self._close()
        # Outside transactions, and never back to the pool, where it would keep the lock for somebody else.
        self._session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._session.detach()
        self._session.execute(_KEEP_SESSION).all()
        self._session.execute(text("SELECT pg_advisory_lock(:class, :number)"), self._key)
        self._server_process = int(self._session.execute(text("SELECT pg_backend_pid()")).scalar_one())

    def drop(self) -> None:
        """See `HeldLock`."""
        self._close()

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            # Said in words: a server takes its time to notice that a session is gone.
            session.execute(text("SELECT pg_advisory_unlock(:class, :number)"), self._key)
        except SQLAlchemyError as error:
            _LOG.debug("the session of a purchase's lock was gone: %s", error)
        finally:
            session.invalidate()
            session.close()


class _FileLock:
    """A lock on a file beside a SQLite ledger; none for a ledger in memory, which nobody else can open."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stream: IO[str] | None = None
        # Of the file that is locked: another thread may be about to change the stream.
        self._locked: os.stat_result | None = None

    def is_held(self, connection: Connection) -> bool:  # noqa: ARG002 -- as the protocol has it
        """See `HeldLock`."""
        locked = self._locked
        if self._file is None or locked is None:
            return True
        try:
            found = self._file.stat()
        except FileNotFoundError:  # somebody tidied up
            return False
        return os.path.samestat(found, locked)

    def take(self) -> None:
        """See `HeldLock`."""
        if self._file is None:
            return
        self._file.parent.mkdir(exist_ok=True)
        before, self._stream = self._stream, self._file.open("w")
        fcntl.flock(self._stream, fcntl.LOCK_EX)
        self._locked = os.fstat(self._stream.fileno())
        if before is not None:  # closed last, so that the new file cannot have its inode
            before.close()

    def drop(self) -> None:
        """See `HeldLock`."""
        if self._file is not None and self._stream is not None:
            self._file.unlink(missing_ok=True)
            self._stream.close()


def _lock_file(ledger: Path, number: int) -> Path:
    return ledger.with_name(f"{ledger.name}.workers") / str(number)
