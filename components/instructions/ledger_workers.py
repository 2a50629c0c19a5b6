"""Who buys through a ledger, and whether they are still alive.

Every purchase has a number. While it lives it holds a lock of that number: on a file beside a SQLite ledger, or an
advisory lock of its own PostgreSQL session. The system drops the lock however the process ends, so no clock and no
time-out decides whether what a purchase had in hand may be sent by another.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, insert, text

from components.instructions.ledger import Ledger, now_text
from components.instructions.ledger_tables import WORKERS

# First half of the key of PostgreSQL's two-part advisory locks; the second is the worker's number.
_LOCK_CLASS = 0x70_72_65_73


@contextmanager
def registered_worker(ledger: Ledger, *, run: str) -> Iterator[int]:
    """Take part in buying.

    Args:
        ledger: where.
        run: label of the curation run.

    Yields:
        The worker's number; others see it as alive until the block ends.
    """
    row = {"run": run, "host": socket.gethostname(), "process": os.getpid(), "started_at": now_text()}
    with ledger.engine.begin() as connection:
        number = int(connection.execute(insert(WORKERS).returning(WORKERS.c.number), row).scalar_one())
    # Nobody else learns the number before something is claimed under it, and that is after this.
    with _advisory_lock(ledger, number) if ledger.engine.dialect.name == "postgresql" else _file_lock(ledger, number):
        yield number


def is_alive(ledger: Ledger, connection: Connection, number: int) -> bool:
    """Whether a worker may still settle what it announced.

    Args:
        ledger: where.
        connection: in the transaction that takes over what a dead worker had in hand: of two that ask at the same
            time, one is told that it is alive, and asks again later.
        number: of the worker.
    """
    if connection.dialect.name == "postgresql":
        statement = text("SELECT pg_try_advisory_xact_lock(:class, :number)")
        return not connection.execute(statement, {"class": _LOCK_CLASS, "number": number}).scalar_one()
    if ledger.file is None:
        return False
    try:
        stream = _lock_file(ledger.file, number).open("r+")
    except FileNotFoundError:
        return False
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _advisory_lock(ledger: Ledger, number: int) -> Iterator[None]:
    key = {"class": _LOCK_CLASS, "number": number}
    # A session of its own, outside transactions: it holds the lock for as long as it is connected.
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as holder:
        holder.execute(text("SELECT pg_advisory_lock(:class, :number)"), key)
        yield
        if not holder.invalidated:
            holder.execute(text("SELECT pg_advisory_unlock(:class, :number)"), key)
        # Not back to the pool: a session there would keep a lock that was not released.
        holder.detach()


@contextmanager
def _file_lock(ledger: Ledger, number: int) -> Iterator[None]:
    if ledger.file is None:
        yield
        return
    file = _lock_file(ledger.file, number)
    file.parent.mkdir(exist_ok=True)
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _lock_file(ledger: Path, number: int) -> Path:
    return ledger.with_name(f"{ledger.name}.workers") / str(number)
