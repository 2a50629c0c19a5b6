"""Batches in the ledger: what is out as a whole, where, and who looks after it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, insert, select, update

from components.instructions.ledger.ledger import Ledger, LedgerError, chunks, now_text
from components.instructions.ledger.tables import (
    ATTEMPTS,
    BATCHES,
    REQUESTS,
    WITHOUT_OUTCOME,
    identified_request_of,
    locked,
)
from components.instructions.ledger.workers import is_alive
from components.instructions.provider import OpenBatch, Send

_LOG = logging.getLogger(__name__)
_OPEN = select(BATCHES).where(BATCHES.c.state == "open")


@dataclass(frozen=True, slots=True)
class KnownBatch:
    """A batch that is out, for a person.

    Attributes:
        number: in the ledger.
        kind: `batch` or `people`.
        reference: what the endpoint calls it, or the folder that people got; empty while that is not known.
        endpoint: where it is; empty when that is not known.
        created_at: ISO 8601, UTC.
        requests: in it without an outcome.
        may_cost_usd: dollars that these take at most.
    """

    number: int
    kind: str
    reference: str
    endpoint: str
    created_at: str
    requests: int
    may_cost_usd: float


def begin_batch(connection: Connection, *, kind: str, run: str, worker: int, endpoint: str | None = None) -> int:
    """Write a new batch down; returns its number."""
    row = {
        "kind": kind,
        "reference": "",
        "state": "open",
        "run": run,
        "worker": worker,
        "created_at": now_text(),
        "endpoint": endpoint,
    }
    return int(connection.execute(insert(BATCHES).returning(BATCHES.c.number), row).scalar_one())


def take_over_batches(
    ledger: Ledger, connection: Connection, *, kind: str, worker: int, endpoint: str | None
) -> list[OpenBatch]:
    """Take over the open batches that nobody looks after; those of another endpoint are named and left alone.

    Args:
        ledger: where.
        connection: in a transaction.
        kind: of batch.
        worker: number of the purchase that takes them.
        endpoint: that it can ask; None: it asks nobody.
    """
    adopted = []
    statement = select(BATCHES).where(BATCHES.c.kind == kind, BATCHES.c.state == "open")
    for row in connection.execute(locked(connection, statement.order_by(BATCHES.c.number))).all():
        if row.worker not in (None, worker) and is_alive(ledger, connection, row.worker):
            continue
        if None not in (row.endpoint, endpoint) and row.endpoint != endpoint:
            name = f"batch {row.number} {row.reference}".strip()
            _LOG.warning(
                "%s is at %s, which this purchase does not ask (%s); it stays open", name, row.endpoint, endpoint
            )
            continue
        mine = {"worker": worker}
        connection.execute(update(BATCHES).where(BATCHES.c.number == row.number).values(mine))
        open_attempts = (ATTEMPTS.c.batch == row.number) & ATTEMPTS.c.outcome.in_(WITHOUT_OUTCOME)
        of_batch = REQUESTS.c.request_id.in_(select(ATTEMPTS.c.request_id).where(open_attempts))
        connection.execute(update(REQUESTS).where(of_batch).values(claimed_by=worker))
        connection.execute(update(ATTEMPTS).where(ATTEMPTS.c.batch == row.number).values(mine))
        open_sends = (
            select(REQUESTS, ATTEMPTS.c.kind, ATTEMPTS.c.may_cost_usd)
            .join(ATTEMPTS, ATTEMPTS.c.request_id == REQUESTS.c.request_id)
            .where(open_attempts)
            .order_by(REQUESTS.c.request_id)
        )
        sends = tuple(
            Send(identified_request_of(one), one.kind, one.may_cost_usd, row.number)
            for one in connection.execute(open_sends)
        )
        adopted.append(OpenBatch(row.number, row.reference, sends, submitting=row.submitted_at is not None))
    return adopted


def end_batch(connection: Connection, number: int, *, sent: bool) -> None:
    """Close a batch; what is open in it is `lost` when it was handed in, else `refused`."""
    now = now_text()
    left = {"outcome": "lost" if sent else "refused", "finished_at": now}
    open_attempts = (ATTEMPTS.c.batch == number) & (ATTEMPTS.c.outcome == "asked")
    connection.execute(update(ATTEMPTS).where(open_attempts).values(left))
    closed = {"state": "closed", "closed_at": now}
    connection.execute(update(BATCHES).where(BATCHES.c.number == number).values(closed))


def batches_out(ledger: Ledger) -> list[KnownBatch]:
    """Every open batch, the oldest first."""
    with ledger.engine.connect() as connection:
        return [_known(connection, row) for row in connection.execute(_OPEN.order_by(BATCHES.c.number)).all()]


def open_batches_of(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, str]:
    """Which requests are out in an open batch: request id -> what the batch is called."""
    out: dict[str, str] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            rows = connection.execute(
                select(ATTEMPTS.c.request_id, BATCHES.c.kind, BATCHES.c.number, BATCHES.c.reference, BATCHES.c.endpoint)
                .join(BATCHES, BATCHES.c.number == ATTEMPTS.c.batch)
                .where(
                    ATTEMPTS.c.request_id.in_(some),
                    ATTEMPTS.c.outcome == "asked",
                    BATCHES.c.state == "open",
                )
            )
            for row in rows:
                name = f"{row.kind} {row.number} {row.reference}".strip()
                out[row.request_id] = f"{name} at {row.endpoint}" if row.endpoint else name
    return out


def give_up_batch(ledger: Ledger, number: int) -> KnownBatch:
    """Close a batch that cannot be collected; what is open in it is `lost`, counted at its highest cost.

    Args:
        ledger: where.
        number: of the batch.

    Returns:
        What was given up.

    Raises:
        LedgerError: there is no such open batch, people have it, or a purchase is looking after it.
    """
    with ledger.writer.begin() as connection:
        row = connection.execute(locked(connection, _OPEN.where(BATCHES.c.number == number))).one_or_none()
        if row is None:
            raise LedgerError(f"no batch {number} is open; `presel batches list` lists those that are")
        if row.kind != "batch":
            raise LedgerError(f"batch {number} is with {row.kind}; `presel annotate export --again` takes it back")
        if row.worker is not None and is_alive(ledger, connection, row.worker):
            raise LedgerError(f"a run is looking after batch {number}; end it first")
        known = _known(connection, row)
        end_batch(connection, number, sent=row.submitted_at is not None)
        return known


def _known(connection: Connection, row: Row[tuple[object, ...]]) -> KnownBatch:
    sums = select(func.count(), func.coalesce(func.sum(ATTEMPTS.c.may_cost_usd), 0.0))
    requests, may_cost_usd = connection.execute(
        sums.where(ATTEMPTS.c.batch == row.number, ATTEMPTS.c.outcome == "asked")
    ).one()
    return KnownBatch(
        row.number, row.kind, row.reference, row.endpoint or "", row.created_at, requests, float(may_cost_usd)
    )
