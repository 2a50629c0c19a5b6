"""What the ledger knows of sends that failed: whether others were answered meanwhile, and what was given up for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, select, update

from components.instructions.ledger.ledger import Ledger, chunks, now_text
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS, WITHOUT_OUTCOME, identified_request_of, locked
from components.instructions.provider import EarlierFailures
from components.instructions.request import IdentifiedRequest, RequestSpecification
from components.instructions.send_keys import Arrived, key_after

_FAILED = ("refused", "unknown")
# Reasons that say nothing about a request: it was never run, or the account was refused.
_SAYS_NOTHING = ("endpoint_refused", "account_refused", "expired", "batch_failed")
# Reasons of sends to which no reply came, and of those that never went over a connection: another with the same key may
# bring what the first would have brought.
_KEY_UNUSED = frozenset(
    {"timeout", "connection", "rate_limited", "too_early", "no_result", "batch_error", "expired", "batch_failed"}
)
# Of images that were answered for, one is surely there.
_SOME = 8
# Rules that a reply without any text breaks: it is paid for all the same.
_PAID_WITHOUT_TEXT = ("empty", "refusal", "cut_off")


def earlier_failures(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, EarlierFailures]:
    """What earlier sends of open requests came to that brought no answer.

    Times are compared within one purchase alone, so that they are of one clock.

    Args:
        ledger: where.
        request_ids: of requests without an outcome.

    Returns:
        Request id -> its failures; those that were never sent, or of which nothing is known, are left out.
    """
    found: dict[str, EarlierFailures] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            failed = ATTEMPTS.c.outcome.in_((*_FAILED, "unusable", "failed")) & ATTEMPTS.c.error.is_not(None)
            without_answer = failed | ATTEMPTS.c.outcome.in_(WITHOUT_OUTCOME)
            statement = select(ATTEMPTS).where(ATTEMPTS.c.request_id.in_(some), without_answer)
            rows = connection.execute(statement.order_by(ATTEMPTS.c.number)).all()
            workers = sorted({row.worker for row in rows if row.worker is not None})
            answered = select(ATTEMPTS.c.worker, ATTEMPTS.c.batch, func.max(ATTEMPTS.c.finished_at)).where(
                ATTEMPTS.c.worker.in_(workers), ATTEMPTS.c.outcome == "answered"
            )
            grouped = answered.group_by(ATTEMPTS.c.worker, ATTEMPTS.c.batch)
            latest = {(row[0], row[1]): row[2] for row in connection.execute(grouped)}
            for row in rows:
                known = found.get(row.request_id, EarlierFailures(0, meanwhile=False))
                found[row.request_id] = _with_attempt(known, row, latest)
    return found


def _with_attempt(
    known: EarlierFailures, row: Row[Any], latest: Mapping[tuple[int | None, int | None], str]
) -> EarlierFailures:
    """What is known of a request with one more of its attempts.

    Args:
        known: of the attempts before.
        row: of `ATTEMPTS`.
        latest: worker and batch -> when something was answered last.
    """
    if row.outcome in WITHOUT_OUTCOME:
        return replace(known, key=key_after(known.key, "nothing", may_be_charged=True))
    reason = row.error.partition(":")[0]
    known = replace(known, key=key_after(known.key, _arrived(row), may_be_charged=row.outcome == "unknown"))
    if row.outcome not in _FAILED or reason in _SAYS_NOTHING:
        return known
    last = latest.get((row.worker, row.batch))
    # What was answered before it failed may have been before an outage.
    meanwhile = last is not None and (row.batch is not None or last > (row.finished_at or row.asked_at))
    known = replace(known, in_doubt=not meanwhile)
    if not known.sends and all(worker != row.worker for worker, _ in latest):
        return known
    return replace(known, sends=known.sends + 1, meanwhile=known.meanwhile or meanwhile)


def _arrived(row: Row[Any]) -> Arrived:
    reason = row.error.partition(":")[0]
    if row.outcome == "unusable" or reason == "unfinished":
        return "reply"
    if reason == "conflict":
        return "conflict"
    return "nothing" if reason in _KEY_UNUSED else "error"


def answered_like(ledger: Ledger, specification: RequestSpecification) -> list[IdentifiedRequest]:
    """Some requests that were answered and are put as this says, the latest first."""
    like = (
        (REQUESTS.c.state == "answered")
        & (REQUESTS.c.specified_model == specification.model)
        & (REQUESTS.c.prompt_template == specification.prompt_template)
        & (REQUESTS.c.sampling == specification.sampling)
    )
    latest = select(REQUESTS).where(like).order_by(REQUESTS.c.updated_at.desc(), REQUESTS.c.request_id).limit(_SOME)
    with ledger.engine.connect() as connection:
        return [identified_request_of(row) for row in connection.execute(latest)]


def give_up(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, float]:
    """Quarantine requests for the failure that is recorded of their last send.

    What may have been charged for that send is booked at its highest cost: nobody will say any more. A request that
    another purchase has in flight is left to it.

    Args:
        ledger: where.
        request_ids: of open requests.

    Returns:
        Those that are given up, each with the dollars that are booked for it now.
    """
    booked: dict[str, float] = {}
    with ledger.writer.begin() as connection:
        for some in chunks(sorted(request_ids)):
            pending = select(REQUESTS.c.request_id).where(
                REQUESTS.c.request_id.in_(some), REQUESTS.c.state == "pending"
            )
            ids = connection.execute(locked(connection, pending.order_by(REQUESTS.c.request_id))).scalars().all()
            rows = connection.execute(
                select(ATTEMPTS).where(ATTEMPTS.c.request_id.in_(ids)).order_by(ATTEMPTS.c.number)
            )
            attempts = rows.all()
            in_flight = {row.request_id for row in attempts if row.outcome == "asked"}
            latest = {row.request_id: row for row in attempts if row.error and row.request_id not in in_flight}
            for request_id, row in latest.items():
                more_usd = row.may_cost_usd if row.outcome == "unknown" else 0.0
                reason, _, detail = row.error.partition(": ")
                ended = {"state": "quarantined", "reason": reason, "detail": detail, "claimed_by": None}
                ended |= {"price_usd": REQUESTS.c.price_usd + more_usd, "updated_at": now_text()}
                connection.execute(update(REQUESTS).where(REQUESTS.c.request_id == request_id).values(ended))
                attempt = (ATTEMPTS.c.request_id == request_id) & (ATTEMPTS.c.number == row.number)
                failed = {"outcome": "failed", "price_usd": row.price_usd + more_usd}
                connection.execute(update(ATTEMPTS).where(attempt).values(failed))
                booked[request_id] = more_usd
    return booked


def reopen_without_reply(ledger: Ledger, request_ids: Sequence[str]) -> None:
    """Open requests again that were given up without a reply, so that they are asked for once more."""
    without_reply = select(ATTEMPTS.c.request_id).where(ATTEMPTS.c.outcome == "failed", ATTEMPTS.c.raw_text == "")
    with ledger.writer.begin() as connection:
        for some in chunks(request_ids):
            given_up = REQUESTS.c.request_id.in_(some) & (REQUESTS.c.state == "quarantined")
            of_these = given_up & REQUESTS.c.request_id.in_(without_reply.where(ATTEMPTS.c.request_id.in_(some)))
            opened = {"state": "pending", "reason": None, "detail": None, "updated_at": now_text()}
            connection.execute(
                update(REQUESTS).where(of_these, REQUESTS.c.reason.not_in(_PAID_WITHOUT_TEXT)).values(opened)
            )
