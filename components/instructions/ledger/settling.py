"""Records what became of sends; it may be repeated, and no text that a reply holds keeps its price from the ledger."""

import logging
from collections.abc import Sequence
from typing import NoReturn

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from components.instructions.ledger.ledger import Ledger, LedgerError, chunks, now_text
from components.instructions.ledger.retries import is_about_the_data, with_retries
from components.instructions.ledger.tables import (
    ATTEMPTS,
    COMPLETE_ATTEMPT,
    COMPLETE_REQUEST,
    REQUESTS,
    WITHOUT_OUTCOME,
    attempt_outcome,
    locked,
    request_outcome,
)
from components.instructions.provider import BatchTakenOverError, Failure, Outcome, Setback

_LOG = logging.getLogger(__name__)
_UNWRITABLE = "unwritable"
_DETAIL_CHARACTERS = 300


def settle_outcomes(ledger: Ledger, outcomes: Sequence[Outcome], *, worker: int) -> list[Outcome]:
    """Record what became of sends; returns once that is durable.

    The ledger is waited for while it is away. An outcome that it refuses is recorded without its texts, the others as
    they are.

    Args:
        ledger: where.
        outcomes: one per request.
        worker: number of the purchase that sent them.

    Returns:
        The outcomes as they are recorded.

    Raises:
        LedgerError: an outcome of something that was not announced, or that has its outcome already; or the ledger
            stayed away: the sends stay in flight, until the next purchase names them lost.
        BatchTakenOverError: an outcome of a batch that is another purchase's by now.
    """
    if len({outcome.request_id for outcome in outcomes}) < len(outcomes):
        raise LedgerError("two outcomes of one request at once: a provider gives one outcome for each send")
    try:
        return _settle_together(ledger, outcomes, worker)
    except (SQLAlchemyError, ValueError, TypeError, OverflowError) as error:
        if not is_about_the_data(error):
            raise
        if len(outcomes) > 1:
            return [one for outcome in outcomes for one in settle_outcomes(ledger, [outcome], worker=worker)]
        [outcome] = outcomes
        why = ascii(str(error))[:_DETAIL_CHARACTERS]
        _LOG.error("the outcome of %s is recorded without its texts: %s", outcome.request_id, why)
        may_cost_usd = with_retries(ledger, lambda: _may_cost_usd(ledger, outcome.request_id, worker))
        return _settle_together(ledger, [_without_texts(outcome, error, may_cost_usd=may_cost_usd)], worker)


def _settle_together(ledger: Ledger, outcomes: Sequence[Outcome], worker: int) -> list[Outcome]:
    """Settle in one transaction, which is repeated while the ledger is away; returns what is recorded."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.request_id)
    numbers: dict[str, int] = {}  # of the attempts that these are outcomes of, as the first try has found them

    def settle() -> None:
        now = now_text()
        with ledger.writer.begin() as connection:
            due = _due(connection, ordered, numbers, worker)
            if due:
                attempts = [attempt_outcome(outcome, numbers[outcome.request_id], now) for outcome in due]
                connection.execute(COMPLETE_ATTEMPT, attempts)
                connection.execute(COMPLETE_REQUEST, [request_outcome(outcome, now) for outcome in due])

    with_retries(ledger, settle)
    return ordered


def _due(
    connection: Connection, outcomes: Sequence[Outcome], numbers: dict[str, int], worker: int
) -> Sequence[Outcome]:
    """The outcomes that are not recorded yet: all, unless an earlier try came through without anybody saying so.

    Args:
        connection: in the transaction that records them; their requests stay locked in it.
        outcomes: sorted by request.
        numbers: request id -> number of its attempt; the first try fills it in.
        worker: number of the purchase.
    """
    ids = [outcome.request_id for outcome in outcomes]
    holders: dict[tuple[str, int], int | None] = {}
    for some in chunks(ids):
        # Locked in the order in which they are claimed.
        requests = select(REQUESTS.c.request_id).where(REQUESTS.c.request_id.in_(some)).order_by(REQUESTS.c.request_id)
        connection.execute(locked(connection, requests)).all()
        attempts = select(ATTEMPTS.c.request_id, ATTEMPTS.c.number, ATTEMPTS.c.worker).where(
            ATTEMPTS.c.request_id.in_(some), ATTEMPTS.c.outcome.in_(WITHOUT_OUTCOME)
        )
        holders |= {(row.request_id, row.number): row.worker for row in connection.execute(attempts)}
    if not numbers:
        # Of several the latest: the numbers ascend.
        mine = dict(sorted(attempt for attempt, holder in holders.items() if holder == worker))
        for request_id in ids:
            if request_id not in mine:
                _raise_not_pending(connection, request_id, worker)
        numbers |= mine
    due = [outcome for outcome in outcomes if (outcome.request_id, numbers[outcome.request_id]) in holders]
    for outcome in due:
        if holders[outcome.request_id, numbers[outcome.request_id]] != worker:
            _raise_not_pending(connection, outcome.request_id, worker)
    return due


def _raise_not_pending(connection: Connection, request_id: str, worker: int) -> NoReturn:
    statement = select(ATTEMPTS.c.worker, ATTEMPTS.c.batch).where(ATTEMPTS.c.request_id == request_id)
    latest = connection.execute(statement.order_by(ATTEMPTS.c.number.desc()).limit(1)).one_or_none()
    if latest is not None and latest.batch is not None and latest.worker != worker:
        raise BatchTakenOverError(
            f"batch {latest.batch} was taken over by another run while others could not see this one alive"
        )
    raise LedgerError(
        f"outcome of request {request_id} that is not pending: a provider must announce a request before it asks, and "
        "give one outcome for it"
    )


def _may_cost_usd(ledger: Ledger, request_id: str, worker: int) -> float:
    mine = (ATTEMPTS.c.request_id == request_id) & (ATTEMPTS.c.worker == worker)
    latest = select(ATTEMPTS.c.may_cost_usd).where(mine).order_by(ATTEMPTS.c.number.desc()).limit(1)
    with ledger.engine.connect() as connection:
        return float(connection.execute(latest).scalar_one())


def _without_texts(outcome: Outcome, error: Exception, *, may_cost_usd: float) -> Outcome:
    """What is recorded in place of an outcome that the ledger refuses: at its highest cost."""
    # Written out in ASCII, with its control characters: it may repeat what could not be written.
    why = ascii(str(getattr(error, "orig", None) or error))[1 : _DETAIL_CHARACTERS + 1]
    detail = f"the ledger cannot hold the reply: {why}"
    if isinstance(outcome, Setback) and outcome.outcome != "unusable":
        return Setback(outcome.request_id, outcome.outcome, _UNWRITABLE, detail)
    if isinstance(outcome, Failure):
        return Failure(outcome.request_id, _UNWRITABLE, detail, price_usd=may_cost_usd)
    return Setback(outcome.request_id, "unusable", _UNWRITABLE, detail, price_usd=may_cost_usd)
