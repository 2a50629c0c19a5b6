"""Claims requests for a purchase that is about to send them; the claim is refused where another has a request."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Insert, Row, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from components.instructions.ledger.ledger import Ledger, chunks, now_text
from components.instructions.ledger.tables import ATTEMPTS, BATCHES, REQUESTS, attempt_row, locked, request_row
from components.instructions.ledger.workers import is_alive
from components.instructions.provider import Send


def claim_requests(
    ledger: Ledger, connection: Connection, sends: Sequence[Send], *, provider: str, run: str, worker: int
) -> set[str]:
    """Claim what is free and write its attempts, in flight; a witness is claimed that is answered, and stays so.

    Args:
        ledger: where.
        connection: in a transaction of `ledger.writer`.
        sends: in the order of their requests' ids, so that two purchases never wait for each other.
        provider: who is asked.
        run: label of the curation run.
        worker: number of the purchase.

    Returns:
        The requests that may be sent.
    """
    claimed: set[str] = set()
    for some in chunks(sends):
        now = now_text()
        new = [request_row(send.request, provider=provider, worker=worker, now=now) for send in some]
        connection.execute(_insert_missing(connection, new))
        ids = [send.request.request_id for send in some]
        wanted = select(REQUESTS).where(REQUESTS.c.request_id.in_(ids)).order_by(REQUESTS.c.request_id)
        found = {row.request_id: row for row in connection.execute(locked(connection, wanted)).all()}
        free = _free(ledger, connection, found.values(), worker)
        witnesses = {send.request.request_id for send in some if send.kind == "witness"}
        free |= {request_id for request_id in witnesses if found[request_id].state == "answered"}
        # After the lock: a reply that another purchase has paid for since this one looked goes on with its repair.
        free -= _outdated(connection, [send for send in some if send.request.request_id in free])
        numbers = {request_id: found[request_id].attempts + 1 for request_id in free}
        _write_attempts(connection, some, numbers, run=run, worker=worker, now=now)
        claimed |= free
    return claimed


def _write_attempts(
    connection: Connection, sends: Sequence[Send], numbers: Mapping[str, int], *, run: str, worker: int, now: str
) -> None:
    if not numbers:
        return
    in_flight = ATTEMPTS.c.request_id.in_(numbers) & (ATTEMPTS.c.outcome == "asked")
    connection.execute(update(ATTEMPTS).where(in_flight).values(outcome="lost", finished_at=now))
    values = {"claimed_by": worker, "attempts": REQUESTS.c.attempts + 1, "updated_at": now}
    connection.execute(update(REQUESTS).where(REQUESTS.c.request_id.in_(numbers)).values(values))
    rows = [
        attempt_row(send, number=numbers[send.request.request_id], run=run, worker=worker, now=now)
        for send in sends
        if send.request.request_id in numbers
    ]
    connection.execute(insert(ATTEMPTS), rows)


def _free(ledger: Ledger, connection: Connection, rows: Iterable[Row[tuple[object, ...]]], worker: int) -> set[str]:
    """Of pending requests, those that no other living purchase has and that are not out in a batch."""
    pending = [row for row in rows if row.state == "pending"]
    holders = {row.claimed_by for row in pending} - {None, worker}
    alive = {number for number in holders if is_alive(ledger, connection, number)}
    free = {row.request_id for row in pending if row.claimed_by not in alive}
    out = connection.execute(
        select(ATTEMPTS.c.request_id)
        .join(BATCHES, BATCHES.c.number == ATTEMPTS.c.batch)
        .where(ATTEMPTS.c.request_id.in_(free), ATTEMPTS.c.outcome == "asked", BATCHES.c.state == "open")
    )
    return free - set(out.scalars())


def _outdated(connection: Connection, sends: Sequence[Send]) -> set[str]:
    """Requests that have brought other unusable replies by now than the send takes into account."""
    counted = select(ATTEMPTS.c.request_id, func.count()).where(
        ATTEMPTS.c.request_id.in_([send.request.request_id for send in sends]), ATTEMPTS.c.outcome == "unusable"
    )
    found = {row[0]: row[1] for row in connection.execute(counted.group_by(ATTEMPTS.c.request_id))}
    expected = {send.request.request_id: send.replies for send in sends if send.replies is not None}
    return {request_id for request_id, replies in expected.items() if found.get(request_id, 0) != replies}


def _insert_missing(connection: Connection, rows: Sequence[dict[str, object]]) -> Insert:
    """Insert the rows whose request is not there yet."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(REQUESTS).values(rows).on_conflict_do_nothing()
    return sqlite.insert(REQUESTS).values(rows).on_conflict_do_nothing()
