"""What the ledger adds up to, what of it is lost, and what others are getting.

An attempt in flight is lost when the purchase that sent it is not alive: it may have been charged, and nobody will say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update

from components.instructions.ledger.ledger import Ledger, chunks, now_text
from components.instructions.ledger.tables import ATTEMPTS, BATCHES, REQUESTS, locked
from components.instructions.ledger.workers import is_alive
from components.schemas import ATTEMPT_ROWS

# In flight by itself; what is out in a batch is collected later, by whoever comes.
_ALONE = ATTEMPTS.c.batch.is_(None) | ATTEMPTS.c.batch.not_in(select(BATCHES.c.number).where(BATCHES.c.state == "open"))
IN_FLIGHT = and_(ATTEMPTS.c.outcome == "asked", _ALONE)


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sums over the ledger, or over what one run asked for.

    Attributes:
        requests: distinct requests.
        pending: of them, those without an outcome.
        answered: of them, those with an instruction.
        quarantined: of them, those that failed.
        attempts: times something was sent.
        input_tokens: tokens sent.
        output_tokens: tokens received.
        price_usd: dollars, failures included.
        uncertain: sends whose outcome nobody knows: the process ended (also when nothing was sent since), or no
            complete response came.
        uncertain_usd: dollars that these took at most.
    """

    requests: int
    pending: int
    answered: int
    quarantined: int
    attempts: int
    input_tokens: int
    output_tokens: int
    price_usd: float
    uncertain: int
    uncertain_usd: float


def ledger_totals(ledger: Ledger, *, run: str | None = None) -> LedgerTotals:
    """Count and add up.

    Args:
        ledger: where.
        run: only what was sent under this label; None: everything.
    """
    counts = select(REQUESTS.c.state, func.count()).group_by(REQUESTS.c.state)
    with ledger.engine.connect() as connection:
        is_uncertain = ATTEMPTS.c.outcome.in_(("lost", "unknown")) | _is_lost(ledger, connection)
        sums = select(
            func.count(),
            func.coalesce(func.sum(ATTEMPTS.c.input_tokens), 0),
            func.coalesce(func.sum(ATTEMPTS.c.output_tokens), 0),
            func.coalesce(func.sum(ATTEMPTS.c.price_usd), 0.0),
            func.coalesce(func.sum(case((is_uncertain, 1), else_=0)), 0),
            func.coalesce(func.sum(case((is_uncertain, ATTEMPTS.c.may_cost_usd), else_=0.0)), 0.0),
        ).select_from(ATTEMPTS)
        if run is not None:
            of_run = select(ATTEMPTS.c.request_id).where(ATTEMPTS.c.run == run)
            counts = counts.where(REQUESTS.c.request_id.in_(of_run))
            sums = sums.where(ATTEMPTS.c.run == run)
        by_state: dict[str, int] = {state: number for state, number in connection.execute(counts)}  # noqa: C416 -- rows are not tuples for mypy
        attempts, input_tokens, output_tokens, price_usd, uncertain, uncertain_usd = connection.execute(sums).one()
    return LedgerTotals(
        requests=sum(by_state.values()),
        pending=by_state.get("pending", 0),
        answered=by_state.get("answered", 0),
        quarantined=by_state.get("quarantined", 0),
        attempts=attempts,
        input_tokens=int(input_tokens),  # PostgreSQL adds large integers up to decimals
        output_tokens=int(output_tokens),
        price_usd=price_usd,
        uncertain=uncertain,
        uncertain_usd=uncertain_usd,
    )


def ledger_cost(ledger: Ledger, *, run: str | None = None) -> float:
    """Dollars spent, of one run or of all; see `ledger_totals`."""
    return ledger_totals(ledger, run=run).price_usd


def run_spent_usd(ledger: Ledger, *, run: str, but_of: int) -> float:
    """Dollars that a run has spent, what may have been charged included, and what others of it have in flight.

    Args:
        ledger: where.
        run: label of the run.
        but_of: number of the worker that knows what it has in flight itself.
    """
    with ledger.engine.connect() as connection:
        of_others = (ATTEMPTS.c.worker != but_of) | ATTEMPTS.c.worker.is_(None)
        wanted = (ATTEMPTS.c.run == run) & (ATTEMPTS.c.outcome == "asked") & of_others & ~_is_lost(ledger, connection)
        in_flight = select(func.coalesce(func.sum(ATTEMPTS.c.may_cost_usd), 0.0)).where(wanted)
        in_flight_usd = float(connection.execute(in_flight).scalar_one())
    # Looked at afterwards: what comes back in between counts twice rather than not at all.
    totals = ledger_totals(ledger, run=run)
    return totals.price_usd + totals.uncertain_usd + in_flight_usd


def may_have_been_charged(ledger: Ledger, request_ids: Sequence[str]) -> frozenset[str]:
    """Requests that were sent without a complete reply coming back: nobody knows whether they were charged."""
    found: set[str] = set()
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            uncertain = ATTEMPTS.c.request_id.in_(some) & ATTEMPTS.c.outcome.in_(("asked", "lost", "unknown"))
            found.update(connection.execute(select(ATTEMPTS.c.request_id).where(uncertain)).scalars())
    return frozenset(found)


def name_lost(ledger: Ledger) -> int:
    """Name as `lost` what workers that are not alive had in flight; returns how many sends that were."""
    with ledger.writer.begin() as connection:
        lost = _is_lost(ledger, connection)
        # In the order in which claims take them, so that nobody waits for each other.
        inside = select(ATTEMPTS.c.request_id).where(lost)
        requests = select(REQUESTS.c.request_id).where(REQUESTS.c.request_id.in_(inside))
        if not connection.execute(locked(connection, requests.order_by(REQUESTS.c.request_id))).all():
            return 0
        named = update(ATTEMPTS).where(lost).values(outcome="lost", finished_at=now_text())
        return int(connection.execute(named).rowcount)


def _is_lost(ledger: Ledger, connection: Connection) -> ColumnElement[bool]:
    """A condition on rows of `ATTEMPTS`: lost but not named so yet, in flight of a worker that is not alive."""
    workers = set(connection.execute(select(ATTEMPTS.c.worker).where(IN_FLIGHT).distinct()).scalars())
    dead = sorted(number for number in workers - {None} if not is_alive(ledger, connection, number))
    return and_(IN_FLIGHT, or_(ATTEMPTS.c.worker.is_(None), ATTEMPTS.c.worker.in_(dead)))


@dataclass(frozen=True, slots=True)
class PendingRequests:
    """Requests without an outcome.

    Attributes:
        with_others: that another living purchase is getting, by themselves or in a batch.
        free: the others.
    """

    with_others: frozenset[str]
    free: frozenset[str]


def pending_requests(ledger: Ledger, request_ids: Sequence[str], *, but_of: int) -> PendingRequests:
    """Say which requests another purchase is getting.

    Args:
        ledger: where.
        request_ids: which; those that have an outcome are in neither set.
        but_of: number of the worker that asks.
    """
    holders: dict[str, int | None] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            pending = REQUESTS.c.request_id.in_(some) & (REQUESTS.c.state == "pending")
            found = connection.execute(select(REQUESTS.c.request_id, REQUESTS.c.claimed_by).where(pending))
            holders |= {row.request_id: row.claimed_by for row in found}
        others = {number for number in holders.values() if number not in (None, but_of)}
        alive = {number for number in others if number is not None and is_alive(ledger, connection, number)}
    with_others = frozenset(request_id for request_id, holder in holders.items() if holder in alive)
    return PendingRequests(with_others, frozenset(holders) - with_others)


def attempt_table(ledger: Ledger, request_ids: Sequence[str]) -> pa.Table:
    """Every time one of these requests was sent.

    Times and the names of runs are left out: what was bought once gives the same table wherever it is exported.

    Args:
        ledger: where they are recorded.
        request_ids: which.

    Returns:
        Columns of `components.schemas.ATTEMPT_ROWS`, sorted by sample, request and number.
    """
    columns = (
        REQUESTS.c.sample_id,
        REQUESTS.c.task,
        ATTEMPTS.c.request_id,
        ATTEMPTS.c.number,
        ATTEMPTS.c.kind,
        ATTEMPTS.c.outcome,
        REQUESTS.c.provider,
        REQUESTS.c.specified_model.label("model"),
        ATTEMPTS.c.input_tokens,
        ATTEMPTS.c.output_tokens,
        ATTEMPTS.c.price_usd,
        ATTEMPTS.c.may_cost_usd,
        ATTEMPTS.c.error,
        ATTEMPTS.c.raw_text,
    )
    rows: list[dict[str, object]] = []
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            wanted = ATTEMPTS.c.request_id.in_(some)
            joined = select(*columns).join(REQUESTS, REQUESTS.c.request_id == ATTEMPTS.c.request_id).where(wanted)
            rows += [
                {**row._mapping, "error": row.error or "", "raw_text": row.raw_text or ""}
                for row in connection.execute(joined)
            ]
    rows.sort(key=lambda row: (row["sample_id"], row["request_id"], row["number"]))
    return pa.Table.from_pylist(rows, schema=ATTEMPT_ROWS)
