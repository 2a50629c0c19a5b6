"""What other purchases that are alive have in hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from components.instructions.ledger.ledger import IDS_PER_QUERY, Ledger
from components.instructions.ledger.tables import REQUESTS
from components.instructions.ledger.workers import is_alive


@dataclass(frozen=True, slots=True)
class Hands:
    """Requests without an outcome.

    Attributes:
        held: that another living purchase has in hand, by themselves or in a batch.
        free: the others.
    """

    held: frozenset[str]
    free: frozenset[str]


def whose_hands(ledger: Ledger, request_ids: Sequence[str], *, but_of: int) -> Hands:
    """Say which requests another purchase is getting.

    Args:
        ledger: where.
        request_ids: which; those that have an outcome are in neither set.
        but_of: number of the worker that asks.
    """
    holders: dict[str, int | None] = {}
    with ledger.engine.connect() as connection:
        for start in range(0, len(request_ids), IDS_PER_QUERY):
            some = REQUESTS.c.request_id.in_(request_ids[start : start + IDS_PER_QUERY])
            pending = select(REQUESTS.c.request_id, REQUESTS.c.claimed_by).where(some, REQUESTS.c.state == "pending")
            holders |= {row.request_id: row.claimed_by for row in connection.execute(pending).all()}
        others = set(holders.values()) - {None, but_of}
        alive = {number for number in others if number is not None and is_alive(ledger, connection, number)}
    held = frozenset(request_id for request_id, holder in holders.items() if holder in alive)
    return Hands(held, frozenset(holders) - held)
