"""Records what became of sends, whatever happens: a reply in hand is paid for."""

import logging
from collections.abc import Mapping, Sequence
from typing import NoReturn

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from components.instructions.ledger.ledger import IDS_PER_QUERY, Ledger, LedgerError, now_text
from components.instructions.ledger.patience import LedgerAwayError, Patience
from components.instructions.ledger.rows import (
    COMPLETE_ATTEMPT,
    COMPLETE_REQUEST,
    attempt_outcome,
    locked,
    request_outcome,
)
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.instructions.ledger.unsettled import (
    UNSETTLED,
    UnsettledOutcome,
    is_about_the_data,
    keep_unsettled,
    storable,
)
from components.instructions.provider import BatchTakenOverError, Outcome

_LOG = logging.getLogger(__name__)


class Settling:
    """Settles the sends of one purchase.

    Args:
        ledger: where.
        worker: number of the purchase.
        patience: that it has with a ledger that is away.
    """

    def __init__(self, ledger: Ledger, *, worker: int, patience: Patience) -> None:
        self._ledger = ledger
        self._worker = worker
        self._patience = patience

    def settle(self, outcomes: Sequence[Outcome], sent: Mapping[str, int]) -> None:
        """Record what became of sends; returns once that is durable.

        An outcome that the ledger refuses is recorded without its texts, the others as they are. While the ledger is
        away it is waited for; after ten minutes the outcomes are kept in a file, for the next time it is opened.

        Args:
            outcomes: one per request.
            sent: request id -> number of its attempt in flight, as far as known without the ledger.

        Raises:
            LedgerError: an outcome of something that was not announced, or that has its outcome already.
            BatchTakenOverError: an outcome of a batch that is another purchase's by now.
            LedgerAwayError: the outcomes are in a file.
        """
        if not outcomes:
            return
        numbers: dict[str, int] = {}
        try:
            self._patience.until_done(lambda: self._settle_all(outcomes, numbers))
        except (SQLAlchemyError, LedgerAwayError, ValueError, TypeError, OverflowError) as error:
            if not is_about_the_data(error):
                self._keep(outcomes, error, sent)
            if len(outcomes) == 1:
                self._settle_without_texts(outcomes[0], error, sent)
            else:
                self._settle_each(outcomes, sent)

    def _settle_each(self, outcomes: Sequence[Outcome], sent: Mapping[str, int]) -> None:
        kept: LedgerAwayError | None = None
        for outcome in outcomes:
            try:
                self.settle([outcome], sent)
            except LedgerAwayError as away:
                kept = away
        if kept is not None:
            raise kept

    def _settle_all(self, outcomes: Sequence[Outcome], numbers: dict[str, int]) -> None:
        """Settle in one transaction; `numbers` tells a second try which attempts these are outcomes of."""
        now = now_text()
        ordered = sorted(outcomes, key=lambda outcome: outcome.request_id)
        with self._ledger.engine.begin() as connection:
            if numbers:  # the first try may have come through without anybody saying so
                still_open = self._still_open(connection, numbers)
                ordered = [outcome for outcome in ordered if outcome.request_id in still_open]
            else:
                numbers |= self._unsettled(connection, [outcome.request_id for outcome in ordered])
            if ordered:
                rows = [attempt_outcome(outcome, numbers[outcome.request_id], now) for outcome in ordered]
                connection.execute(COMPLETE_ATTEMPT, rows)
                connection.execute(COMPLETE_REQUEST, [request_outcome(outcome, now) for outcome in ordered])

    def _settle_without_texts(self, outcome: Outcome, error: Exception, sent: Mapping[str, int]) -> None:
        request_id = outcome.request_id
        latest = (
            select(ATTEMPTS.c.may_cost_usd)
            .where(ATTEMPTS.c.request_id == request_id, ATTEMPTS.c.worker == self._worker)
            .order_by(ATTEMPTS.c.number.desc())
            .limit(1)
        )

        numbers: dict[str, int] = {}

        def settle() -> None:
            with self._ledger.engine.connect() as connection:
                may_cost_usd = connection.execute(latest).scalar_one()
            substitute = storable(outcome, error, may_cost_usd=may_cost_usd)
            _LOG.error("the outcome of %s is recorded without its texts: %s", request_id, ascii(str(error))[:300])
            self._settle_all([substitute], numbers)

        try:
            self._patience.until_done(settle)
        except (SQLAlchemyError, LedgerAwayError) as still:
            self._keep([outcome], still, sent)

    def _keep(self, outcomes: Sequence[Outcome], error: Exception, sent: Mapping[str, int]) -> NoReturn:
        """Write outcomes beside the ledger, where the next opening finds them."""
        now = now_text()
        unsettled = [UnsettledOutcome(outcome, self._worker, sent.get(outcome.request_id), now) for outcome in outcomes]
        try:
            file = keep_unsettled(self._ledger.unsettled, unsettled)
        except OSError as refused:
            raise LedgerAwayError(
                f"{error}, and its folder takes nothing either ({refused}): {len(outcomes)} replies that were paid for "
                "are lost. Make room or mount it again; they count at their highest cost"
            ) from error
        raise LedgerAwayError(
            f"{error}. {len(outcomes)} replies that were paid for are kept in {file}; when the ledger is there again, "
            "run again: they are taken in, and the rest is bought"
        ) from error

    def _still_open(self, connection: Connection, numbers: Mapping[str, int]) -> set[str]:
        """Of attempts, known by request and number, the requests of those without an outcome."""
        found: set[str] = set()
        ids = sorted(numbers)
        for start in range(0, len(ids), IDS_PER_QUERY):
            some = ids[start : start + IDS_PER_QUERY]
            wanted = (
                select(REQUESTS.c.request_id).where(REQUESTS.c.request_id.in_(some)).order_by(REQUESTS.c.request_id)
            )
            connection.execute(locked(connection, wanted)).all()
            rows = connection.execute(
                select(ATTEMPTS.c.request_id, ATTEMPTS.c.number).where(
                    ATTEMPTS.c.request_id.in_(some), ATTEMPTS.c.outcome.in_(UNSETTLED)
                )
            )
            found |= {row.request_id for row in rows if row.number == numbers[row.request_id]}
        return found

    def _check_whose(self, connection: Connection, request_id: str) -> None:
        statement = select(ATTEMPTS.c.worker, ATTEMPTS.c.batch).where(ATTEMPTS.c.request_id == request_id)
        latest = connection.execute(statement.order_by(ATTEMPTS.c.number.desc()).limit(1)).one_or_none()
        if latest is not None and latest.batch is not None and latest.worker != self._worker:
            raise BatchTakenOverError(
                f"batch {latest.batch} was taken over by another run while others could not see this one alive"
            )

    def _unsettled(self, connection: Connection, request_ids: Sequence[str]) -> dict[str, int]:
        """The number of the attempt of each request that this purchase has in flight."""
        numbers: dict[str, int] = {}
        for start in range(0, len(request_ids), IDS_PER_QUERY):
            ids = request_ids[start : start + IDS_PER_QUERY]
            # Locked in the order in which they are claimed.
            wanted = select(REQUESTS.c.request_id).where(REQUESTS.c.request_id.in_(ids)).order_by(REQUESTS.c.request_id)
            connection.execute(locked(connection, wanted)).all()
            mine = (ATTEMPTS.c.worker == self._worker) & ATTEMPTS.c.outcome.in_(UNSETTLED)
            latest = select(ATTEMPTS.c.request_id, func.max(ATTEMPTS.c.number)).where(
                ATTEMPTS.c.request_id.in_(ids), mine
            )
            numbers |= {name: number for name, number in connection.execute(latest.group_by(ATTEMPTS.c.request_id))}  # noqa: C416 -- rows are not tuples for mypy
        for request_id in request_ids:
            if request_id not in numbers:
                self._check_whose(connection, request_id)
                raise LedgerError(
                    f"outcome of request {request_id} that is not pending: a provider must announce a request "
                    "before it asks, and give one outcome for it"
                )
        if len(set(request_ids)) < len(request_ids):
            raise LedgerError("two outcomes of one request at once: a provider gives one outcome for each send")
        return numbers
