"""Opening the ledger: the record of every instruction asked for, written before it is asked and after.

SQLite by default, PostgreSQL where several machines buy together. A request that is answered or quarantined stays so;
its identity (`components.instructions.request`) says when two runs want the same.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import SQLITE_BUSY
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError as SqliteError
from typing import Literal, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from components.errors import UserError
from components.instructions.ledger.migration import LedgerVersionError, is_up_to_date, migrate
from components.instructions.ledger.tables import REQUESTS, turns_of
from components.pool.samples import Turn

State = Literal["pending", "answered", "quarantined"]
T = TypeVar("T")

_BUSY_SECONDS = 60
_BUSY_PAUSE_SECONDS = 0.02
_IDS_PER_QUERY = 500
_SYNCHRONOUS = "FULL"  # what is written outlives a machine that loses its power
_WRITES = "presel_writes"
# Where the program before this one kept replies that the ledger of a server could not take.
_KEPT_FOR_SERVERS = Path(".presel/unsettled")
# Options of libpq, for connections that something in between cuts off without a word: seconds, but the last, which is
# milliseconds.
_LIBPQ_DRIVERS = frozenset({"psycopg", "psycopg2"})
_WATCHED = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


class LedgerError(UserError, RuntimeError):
    """The ledger cannot be used, or is used in a way that would lose money."""


@dataclass(slots=True)
class Absence:
    """Since when a ledger is away, as all threads of this process have seen it.

    Attributes:
        since: seconds of the monotonic clock; None: it was there when it was last asked.
    """

    since: float | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open ledger.

    Attributes:
        engine: the database, for reading: on SQLite its transactions neither wait for those that write nor hold them
            up.
        writer: the same, for writing: on SQLite its transactions come one after the other.
        file: of a SQLite ledger, as the system knows it; None for a server's, and for one in memory.
        absence: what is known of its being away.
    """

    engine: Engine
    writer: Engine
    file: Path | None
    absence: Absence = field(default_factory=Absence)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger knows of one request.

    Attributes:
        request_id: the request.
        state: `pending`: asked for, no outcome recorded; `answered`; `quarantined`.
        attempts: how often it was sent.
        provider: who was asked.
        model: who answered; empty without an answer.
        turns: the instruction; empty without an answer.
        input_tokens: tokens sent, all attempts.
        output_tokens: tokens received, all attempts.
        price_usd: dollars, all attempts.
        reason: of a quarantine; else empty.
        detail: of a quarantine; else empty.
    """

    request_id: str
    state: State
    attempts: int
    provider: str
    model: str
    turns: tuple[Turn, ...]
    input_tokens: int
    output_tokens: int
    price_usd: float
    reason: str
    detail: str


@contextmanager
def open_ledger(url: str, *, make: bool = True) -> Iterator[Ledger]:
    """Open a ledger, making it (and the folder of a SQLite file) when it is not there, and bringing it up to date.

    Args:
        url: SQLAlchemy URL, e.g. `sqlite:///.presel/ledger.sqlite`.
        make: False: only to look at it. Nothing is made, changed or brought up to date, no file and no table; what is
            not there is empty.

    Raises:
        LedgerError: it cannot be reached, was written by a newer program, lacks replies that an older one has kept
            beside it, or is only to be looked at and was written by an older program.
    """
    address = make_url(url)
    is_sqlite = address.get_backend_name() == "sqlite"
    file = None
    if is_sqlite and address.database and address.database != ":memory:":
        # Locks are beside the file: they must be the same for everybody, however the file is spelt.
        file = Path(address.database).resolve()
        if make:
            file.parent.mkdir(parents=True, exist_ok=True)
    shown = address.render_as_string(hide_password=True)
    _refuse_without_kept_replies(address, file)
    if not make and file is not None and not (file.exists() and file.stat().st_size):
        with open_ledger("sqlite://") as empty:
            yield empty
        return
    engine = _engine(address, looked_at=None if make else file)
    writer = engine.execution_options(**{_WRITES: True})
    try:
        try:
            there = migrate(engine, writer) if make else is_up_to_date(engine)
        except LedgerVersionError as error:
            raise LedgerError(f"ledger {shown}: {error}") from None
        except SQLAlchemyError as error:
            raise LedgerError(
                f"ledger {shown} cannot be opened ({cause_of(error)}); correct instructions.ledger or start its server"
            ) from None
        if there:
            yield Ledger(engine, writer, file)
            return
        with open_ledger("sqlite://") as empty:
            yield empty
    finally:
        engine.dispose()


def _engine(address: URL, *, looked_at: Path | None) -> Engine:
    """A database to connect to.

    Args:
        address: of the database.
        looked_at: a SQLite file that is only looked at; None: any other database, or one that is written.
    """
    if address.get_backend_name() != "sqlite":
        return _connected(address)
    if looked_at is None:
        engine = create_engine(address)
        _make_durable(engine)
        return engine
    # Even a reader of a write-ahead log makes its files, unless nobody else has it open and it is told that.
    in_use = looked_at.with_name(f"{looked_at.name}-wal").exists()
    mode = {"mode": "ro", "uri": "true"} | ({} if in_use else {"immutable": "1"})
    return create_engine(address.set(database=f"file:{quote(str(looked_at))}", query=mode))


def find_entries(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, LedgerEntry]:
    """Look requests up; those never asked for are left out of the result."""
    entries: dict[str, LedgerEntry] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            for row in connection.execute(select(REQUESTS).where(REQUESTS.c.request_id.in_(some))):
                entries[row.request_id] = LedgerEntry(
                    request_id=row.request_id,
                    state=row.state,
                    attempts=row.attempts,
                    provider=row.provider,
                    model=row.model or "",
                    turns=turns_of(row.turns),
                    input_tokens=row.input_tokens,
                    output_tokens=row.output_tokens,
                    price_usd=row.price_usd,
                    reason=row.reason or "",
                    detail=row.detail or "",
                )
    return entries


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut what a query names into pieces that every database takes."""
    for start in range(0, len(items), _IDS_PER_QUERY):
        yield items[start : start + _IDS_PER_QUERY]


def now_text() -> str:
    """The time as the ledger writes it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def cause_of(error: Exception) -> str:
    """What a database said, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]


def _refuse_without_kept_replies(address: URL, file: Path | None) -> None:
    """Replies beside the ledger are paid for: without them their requests would be bought again."""
    if file is not None:
        folder = file.with_name(f"{file.name}.unsettled")
    else:
        name = f"{address.host}-{address.port}-{address.database}"
        folder = _KEPT_FOR_SERVERS / re.sub(r"[^A-Za-z0-9._-]", "_", name)
    kept = len(list(folder.glob("*.jsonl")))
    if kept:
        raise LedgerError(
            f"{folder} holds {kept} files with replies that were paid for while the ledger was away. The program "
            "before this one wrote them and takes them in: run `presel batches list` once with it, here. Or move the "
            "folder away: these replies then count as lost, and are bought again"
        )


def _connected(address: URL) -> Engine:
    """To a server: a connection that is gone is noticed within minutes, and replaced before it is used."""
    watched = {name: value for name, value in _WATCHED.items() if name not in address.query}
    known = watched if address.get_driver_name() in _LIBPQ_DRIVERS else {}
    return create_engine(address, pool_pre_ping=True, connect_args=known)


def _make_durable(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
        # The driver must not begin transactions by itself, see _begin.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}").close()
        _write_ahead(connection)
        connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS}").close()
        connection.execute("PRAGMA foreign_keys=ON").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later is refused at once when another one wrote in between,
        # whatever the busy timeout; taking the write lock at the start waits instead. One that only reads sees the
        # ledger as it was at its first look, and needs no lock.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _write_ahead(connection: SqliteConnection) -> None:
    """Switch to the write-ahead log.

    SQLite refuses that at once, whatever the busy timeout, while another connection makes the file or closes it.
    """
    give_up_at = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except SqliteError as error:
            if error.sqlite_errorcode & 0xFF != SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)
        else:
            return
