"""The record of every instruction asked for: written before it is asked, completed before the next step.

SQLite by default, any SQLAlchemy URL otherwise. A request that is answered or quarantined stays so; its
identity (`components.instructions.request`) says when two runs want the same.
"""

import fcntl
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import SQLITE_BUSY
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError as SqliteError
from typing import Literal

from sqlalchemy import Connection, Engine, Row, create_engine, event, insert, make_url, select, update
from sqlalchemy.pool import ConnectionPoolEntry

from components.instructions.ledger_rows import (
    COMPLETE_ATTEMPT,
    COMPLETE_REQUEST,
    attempt_outcome,
    request_outcome,
    request_row,
)
from components.instructions.ledger_tables import ATTEMPTS, LEDGER_SCHEMA_VERSION, METADATA, REQUESTS, SCHEMA
from components.instructions.provider import Answer, Failure
from components.instructions.request import IdentifiedRequest
from components.records import Turn

State = Literal["pending", "answered", "quarantined"]

_LOG = logging.getLogger(__name__)

_BUSY_SECONDS = 60
_BUSY_PAUSE_SECONDS = 0.02
_IDS_PER_QUERY = 500


class LedgerError(RuntimeError):
    """The ledger cannot be used, or is used in a way that would lose money."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open ledger.

    Attributes:
        engine: the database.
        lock_file: held while instructions are bought; None for a database that is not a file.
    """

    engine: Engine
    lock_file: Path | None


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
def open_ledger(url: str) -> Iterator[Ledger]:
    """Open a ledger, making it (and the folder of a SQLite file) when it is not there.

    Args:
        url: SQLAlchemy URL, e.g. `sqlite:///.presel/ledger.sqlite`.

    Raises:
        LedgerError: it was written by another version of this project.
    """
    address = make_url(url)
    is_sqlite = address.get_backend_name() == "sqlite"
    lock_file = None
    if is_sqlite and address.database and address.database != ":memory:":
        lock_file = Path(f"{address.database}.lock")
        lock_file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address)
    if is_sqlite:
        _make_durable(engine)
    try:
        with engine.begin() as connection:
            METADATA.create_all(connection)
            version = connection.execute(select(SCHEMA.c.version)).scalar_one_or_none()
            if version is None:
                connection.execute(insert(SCHEMA).values(version=LEDGER_SCHEMA_VERSION))
            elif version != LEDGER_SCHEMA_VERSION:
                shown = address.render_as_string(hide_password=True)
                raise LedgerError(
                    f"ledger {shown} has schema version {version}, this program writes "
                    f"{LEDGER_SCHEMA_VERSION}: use the program that wrote it, or another ledger"
                )
        yield Ledger(engine, lock_file)
    finally:
        engine.dispose()


@contextmanager
def exclusive_purchase(ledger: Ledger) -> Iterator[None]:
    """Keep every other process and thread from buying through the same SQLite file meanwhile.

    Two runs that want the same instruction at the same time would else both find it missing. The second one
    waits, and then finds what the first has bought. The lock ends with the process, however it ends.
    """
    if ledger.lock_file is None:
        yield
        return
    with ledger.lock_file.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info("waiting for another run that buys through %s", ledger.lock_file)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_entries(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, LedgerEntry]:
    """Look requests up; those never asked for are left out of the result."""
    entries: dict[str, LedgerEntry] = {}
    with ledger.engine.connect() as connection:
        for start in range(0, len(request_ids), _IDS_PER_QUERY):
            wanted = request_ids[start : start + _IDS_PER_QUERY]
            for row in connection.execute(select(REQUESTS).where(REQUESTS.c.request_id.in_(wanted))):
                entries[row.request_id] = _entry(row)
    return entries


def record_asking(ledger: Ledger, requests: Sequence[IdentifiedRequest], *, provider: str, run: str = "") -> None:
    """Record that requests are about to be sent; returns once that is durable.

    Args:
        ledger: where.
        requests: what is sent now; a pending one is being sent again, its earlier attempt counts as lost.
        provider: to whom.
        run: label of the curation run, for `ledger_totals`.

    Raises:
        LedgerError: one of them has an outcome already, so sending it would buy it twice.
    """
    now = _now()
    with ledger.engine.begin() as connection:
        for start in range(0, len(requests), _IDS_PER_QUERY):
            _record_asking(connection, requests[start : start + _IDS_PER_QUERY], provider, run, now)


def record_outcomes(ledger: Ledger, outcomes: Sequence[Answer | Failure]) -> None:
    """Complete requests with what came; returns once that is durable.

    Raises:
        LedgerError: an outcome of a request that is not pending: never announced, or completed before.
    """
    if not outcomes:
        return
    now = _now()
    ids = [outcome.request_id for outcome in outcomes]
    with ledger.engine.begin() as connection:
        _check_pending(connection, ids)
        connection.execute(COMPLETE_REQUEST, [request_outcome(outcome, now) for outcome in outcomes])
        connection.execute(COMPLETE_ATTEMPT, [attempt_outcome(outcome, now) for outcome in outcomes])


def _make_durable(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
        # The driver must not begin transactions by itself, see _begin.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}").close()
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later is refused at once when another one wrote in
        # between, whatever the busy timeout; taking the write lock at the start waits instead.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _write_ahead(connection: SqliteConnection) -> None:
    """Switch to the write-ahead log.

    SQLite refuses that at once, whatever the busy timeout, while another connection makes the file or closes it.
    """
    patience = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except SqliteError as error:
            if error.sqlite_errorcode & 0xFF != SQLITE_BUSY or time.monotonic() > patience:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)
        else:
            return


def _record_asking(
    connection: Connection, requests: Sequence[IdentifiedRequest], provider: str, run: str, now: str
) -> None:
    ids = [request.request_id for request in requests]
    rows = connection.execute(
        select(REQUESTS.c.request_id, REQUESTS.c.state, REQUESTS.c.attempts).where(REQUESTS.c.request_id.in_(ids))
    ).all()
    bought = [row.request_id for row in rows if row.state != "pending"]
    if bought:
        raise LedgerError(f"{len(bought)} requests have an outcome already and are not sent again, e.g. {bought[0]}")
    attempts = {row.request_id: row.attempts for row in rows}
    new = [request for request in requests if request.request_id not in attempts]
    if new:
        connection.execute(insert(REQUESTS), [request_row(request, provider, now) for request in new])
    if attempts:
        again = REQUESTS.c.request_id.in_(list(attempts))
        connection.execute(update(REQUESTS).where(again).values(attempts=REQUESTS.c.attempts + 1, updated_at=now))
        lost = ATTEMPTS.c.request_id.in_(list(attempts)) & (ATTEMPTS.c.outcome == "asked")
        connection.execute(update(ATTEMPTS).where(lost).values(outcome="lost", finished_at=now))
    connection.execute(
        insert(ATTEMPTS),
        [
            {
                "request_id": request_id,
                "number": attempts.get(request_id, 0) + 1,
                "run": run,
                "outcome": "asked",
                "input_tokens": 0,
                "output_tokens": 0,
                "price_usd": 0.0,
                "asked_at": now,
            }
            for request_id in ids
        ],
    )


def _check_pending(connection: Connection, request_ids: Sequence[str]) -> None:
    pending: set[str] = set()
    for start in range(0, len(request_ids), _IDS_PER_QUERY):
        wanted = REQUESTS.c.request_id.in_(request_ids[start : start + _IDS_PER_QUERY])
        rows = connection.execute(select(REQUESTS.c.request_id).where(wanted, REQUESTS.c.state == "pending"))
        pending.update(rows.scalars())
    for request_id in request_ids:
        if request_id not in pending:
            raise LedgerError(
                f"outcome of request {request_id} that is not pending: a provider must announce a request "
                "before it asks, and give one outcome for it"
            )
        pending.remove(request_id)


def _entry(row: Row[tuple[object, ...]]) -> LedgerEntry:
    return LedgerEntry(
        request_id=row.request_id,
        state=row.state,
        attempts=row.attempts,
        provider=row.provider,
        model=row.model or "",
        turns=tuple(Turn(question, response) for question, response in json.loads(row.turns or "[]")),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        price_usd=row.price_usd,
        reason=row.reason or "",
        detail=row.detail or "",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
