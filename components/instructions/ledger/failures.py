"""What the ledger knows of sends that failed: whether others were answered meanwhile, and what was given up for it."""

from collections.abc import Sequence

from sqlalchemy import func, select, update

from components.instructions.ledger.ledger import Ledger, chunks, now_text
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.instructions.provider import EarlierFailures

_FAILED = ("refused", "unknown")
# Reasons that say nothing about a request: it was never run, or the account was refused.
_SAYS_NOTHING = ("endpoint_refused", "account_refused", "expired", "batch_failed")
# Rules that a reply without any text breaks: it is paid for all the same.
_PAID_WITHOUT_TEXT = ("empty", "refusal", "cut_off")


def earlier_failures(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, EarlierFailures]:
    """How open requests have failed in purchases in which others were answered, and since.

    Times are compared within one purchase alone, so that they are of one clock.

    Args:
        ledger: where.
        request_ids: of requests without an outcome.

    Returns:
        Request id -> its failures; those that only failed where nobody was answered are left out.
    """
    found: dict[str, EarlierFailures] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            failed = ATTEMPTS.c.request_id.in_(some) & ATTEMPTS.c.outcome.in_(_FAILED) & ATTEMPTS.c.error.is_not(None)
            for reason in _SAYS_NOTHING:
                failed &= ~ATTEMPTS.c.error.startswith(f"{reason}:", autoescape=True)
            columns = (
                ATTEMPTS.c.request_id,
                ATTEMPTS.c.worker,
                ATTEMPTS.c.batch,
                ATTEMPTS.c.asked_at,
                ATTEMPTS.c.finished_at,
            )
            rows = connection.execute(select(*columns).where(failed).order_by(ATTEMPTS.c.number)).all()
            workers = sorted({row.worker for row in rows if row.worker is not None})
            answered = select(ATTEMPTS.c.worker, ATTEMPTS.c.batch, func.max(ATTEMPTS.c.finished_at)).where(
                ATTEMPTS.c.worker.in_(workers), ATTEMPTS.c.outcome == "answered"
            )
            grouped = answered.group_by(ATTEMPTS.c.worker, ATTEMPTS.c.batch)
            latest = {(row[0], row[1]): row[2] for row in connection.execute(grouped)}
            with_answers = {worker for worker, _ in latest}
            for row in rows:
                known = found.get(row.request_id)
                if known is None and row.worker not in with_answers:
                    continue
                last = latest.get((row.worker, row.batch))
                # What was answered before it failed may have been before an outage.
                meanwhile = last is not None and (row.batch is not None or last > (row.finished_at or row.asked_at))
                known = known or EarlierFailures(0, meanwhile=False)
                found[row.request_id] = EarlierFailures(known.sends + 1, meanwhile=known.meanwhile or meanwhile)
    return found


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
