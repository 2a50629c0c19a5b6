"""What the ledger adds up to."""

from dataclasses import dataclass

from sqlalchemy import case, func, select

from components.instructions.ledger.ledger import Ledger
from components.instructions.ledger.lost import is_lost
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS


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
        is_uncertain = ATTEMPTS.c.outcome.in_(("lost", "unknown")) | is_lost(ledger, connection)
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


def in_flight_usd(ledger: Ledger, *, run: str, but_of: int) -> float:
    """Dollars that a run's sends in flight may cost at most, those of one worker and those that are lost left out.

    Args:
        ledger: where.
        run: label of the run.
        but_of: number of the worker that knows its own.
    """
    with ledger.engine.connect() as connection:
        of_others = (ATTEMPTS.c.worker != but_of) | ATTEMPTS.c.worker.is_(None)
        wanted = (ATTEMPTS.c.run == run) & (ATTEMPTS.c.outcome == "asked") & of_others & ~is_lost(ledger, connection)
        total = select(func.coalesce(func.sum(ATTEMPTS.c.may_cost_usd), 0.0)).where(wanted)
        return float(connection.execute(total).scalar_one())


def ledger_cost(ledger: Ledger, *, run: str | None = None) -> float:
    """Dollars spent, of one run or of all; see `ledger_totals`."""
    return ledger_totals(ledger, run=run).price_usd


def answered_sample_ids(ledger: Ledger) -> frozenset[str]:
    """Samples for which some request was answered."""
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(REQUESTS.c.sample_id).where(REQUESTS.c.state == "answered").distinct())
        return frozenset(rows.scalars())
