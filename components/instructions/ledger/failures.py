"""What the ledger knows of sends that failed: whether others were answered meanwhile, and what was given up for it."""

from collections.abc import Sequence

from sqlalchemy import func, select, update

from components.instructions.ledger.ledger import Ledger, chunks, now_text
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.instructions.provider import EarlierFailures

_FAILED = ("refused", "unknown")
# Rules that a reply without any text breaks: it is paid for all the same.
_PAID_WITHOUT_TEXT = ("empty", "refusal", "cut_off")


def earlier_failures(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, EarlierFailures]:
    """How open requests have failed so far, and whether others were answered meanwhile.

    Meanwhile is: in the same batch, or, for what is sent by itself, by the same purchase after it was sent. Times are
    compared within one purchase alone, so that they are of one clock.

    Args:
        ledger: where.
        request_ids: of requests without an outcome.

    Returns:
        Request id -> its failures; those without any are left out.
    """
    found: dict[str, EarlierFailures] = {}
    with ledger.engine.connect() as connection:
        for some in chunks(request_ids):
            failed = ATTEMPTS.c.request_id.in_(some) & ATTEMPTS.c.outcome.in_(_FAILED)
            columns = (ATTEMPTS.c.request_id, ATTEMPTS.c.worker, ATTEMPTS.c.batch, ATTEMPTS.c.asked_at)
            rows = connection.execute(select(*columns).where(failed).order_by(ATTEMPTS.c.number)).all()
            workers = sorted({row.worker for row in rows if row.worker is not None})
            answered = select(ATTEMPTS.c.worker, ATTEMPTS.c.batch, func.max(ATTEMPTS.c.finished_at)).where(
                ATTEMPTS.c.worker.in_(workers), ATTEMPTS.c.outcome == "answered"
            )
            grouped = answered.group_by(ATTEMPTS.c.worker, ATTEMPTS.c.batch)
            latest = {(row[0], row[1]): row[2] for row in connection.execute(grouped)}
            with_answers = {worker for worker, _ in latest}
            sends: dict[str, int] = {}
            before: dict[str, bool] = {}
            for row in rows:
                last = latest.get((row.worker, row.batch))
                meanwhile = last is not None and (row.batch is not None or last > row.asked_at)
                if meanwhile or sends.get(row.request_id):
                    sends[row.request_id] = sends.get(row.request_id, 0) + 1
                before[row.request_id] = before.get(row.request_id, False) or row.worker in with_answers
            found |= {name: EarlierFailures(sends.get(name, 0), others) for name, others in before.items()}
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
