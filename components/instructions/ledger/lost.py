"""What was in flight when a purchase was killed: it may have been charged, and nobody will say."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from components.instructions.ledger.ledger import IDS_PER_QUERY, Ledger, now_text
from components.instructions.ledger.rows import locked
from components.instructions.ledger.tables import ATTEMPTS, BATCHES, REQUESTS
from components.instructions.ledger.workers import is_alive

# In flight by itself; what is out in a batch is collected later, by whoever comes.
_ALONE = ATTEMPTS.c.batch.is_(None) | ATTEMPTS.c.batch.not_in(select(BATCHES.c.number).where(BATCHES.c.state == "open"))
IN_FLIGHT = and_(ATTEMPTS.c.outcome == "asked", _ALONE)


def is_lost(ledger: Ledger, connection: Connection) -> ColumnElement[bool]:
    """Which attempts are lost but not named so yet: in flight, of a worker that is not alive.

    Args:
        ledger: where.
        connection: in the transaction that asks.

    Returns:
        A condition on rows of `ATTEMPTS`.
    """
    workers = set(connection.execute(select(ATTEMPTS.c.worker).where(IN_FLIGHT).distinct()).scalars())
    dead = sorted(number for number in workers - {None} if not is_alive(ledger, connection, number))
    return and_(IN_FLIGHT, or_(ATTEMPTS.c.worker.is_(None), ATTEMPTS.c.worker.in_(dead)))


def may_have_been_charged(ledger: Ledger, request_ids: Sequence[str]) -> frozenset[str]:
    """Requests that were sent without a complete reply coming back: nobody knows whether they were charged."""
    found: set[str] = set()
    with ledger.engine.connect() as connection:
        for start in range(0, len(request_ids), IDS_PER_QUERY):
            some = ATTEMPTS.c.request_id.in_(request_ids[start : start + IDS_PER_QUERY])
            uncertain = ATTEMPTS.c.outcome.in_(("asked", "lost", "unknown"))
            found.update(connection.execute(select(ATTEMPTS.c.request_id).where(some, uncertain)).scalars())
    return frozenset(found)


def name_lost(ledger: Ledger) -> int:
    """Name as `lost` what workers that are not alive had in flight; returns how many sends that were."""
    with ledger.engine.begin() as connection:
        lost = is_lost(ledger, connection)
        # In the order in which claims take them, so that nobody waits for each other.
        inside = select(ATTEMPTS.c.request_id).where(lost)
        requests = select(REQUESTS.c.request_id).where(REQUESTS.c.request_id.in_(inside))
        if not connection.execute(locked(connection, requests.order_by(REQUESTS.c.request_id))).all():
            return 0
        named = update(ATTEMPTS).where(lost).values(outcome="lost", finished_at=now_text())
        return int(connection.execute(named).rowcount)
