"""What the ledger says of the requests behind a training set: who was asked, with what, when, at what price."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select

from components.instructions.ledger.ledger import Ledger, chunks
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS, turns_of
from components.pool.samples import Turn


@dataclass(frozen=True, slots=True)
class RequestHistory:
    """One request of the ledger.

    Attributes:
        request_id: the request.
        state: pending | answered | quarantined.
        provider: who was asked.
        specified_model: which model was asked for; of annotations, what the records said.
        prompt_template: the text around the image; empty for annotations.
        sampling: parameters of the sampling as JSON; empty for annotations.
        turns: the answer.
        attempts: how often it was sent.
        price_usd: dollars, all attempts.
        attempts_price_usd: the same, added up over the attempts.
        run: label of the run that had it answered.
        asked_at: when it was sent the first time, ISO 8601, UTC.
        answered_at: when the last outcome came; empty while there is none.
    """

    request_id: str
    state: str
    provider: str
    specified_model: str
    prompt_template: str
    sampling: str
    turns: tuple[Turn, ...]
    attempts: int
    price_usd: float
    attempts_price_usd: float
    run: str
    asked_at: str
    answered_at: str


def request_histories(ledger: Ledger, request_ids: Sequence[str]) -> dict[str, RequestHistory]:
    """Look requests up by their ids; those that the ledger does not know are left out."""
    histories: dict[str, RequestHistory] = {}
    with ledger.engine.connect() as connection:
        for wanted in chunks(request_ids):
            sends: dict[str, list[Row[Any]]] = {}
            attempts = select(ATTEMPTS).where(ATTEMPTS.c.request_id.in_(wanted)).order_by(ATTEMPTS.c.number)
            for attempt in connection.execute(attempts):
                sends.setdefault(attempt.request_id, []).append(attempt)
            for row in connection.execute(select(REQUESTS).where(REQUESTS.c.request_id.in_(wanted))):
                histories[row.request_id] = _history(row, sends.get(row.request_id, []))
    return histories


def spent_until(ledger: Ledger, *, run: str, until: str) -> float:
    """Dollars of what was sent under a label and came back by a time.

    An answer of a batch may come after the run that sent it has ended; its price is then not in that run's record.

    Args:
        ledger: where.
        run: the label.
        until: ISO 8601, UTC, as the ledger writes times.
    """
    booked = func.coalesce(func.sum(ATTEMPTS.c.price_usd), 0.0)
    query = select(booked).where(ATTEMPTS.c.run == run, ATTEMPTS.c.finished_at <= until)
    with ledger.engine.connect() as connection:
        return float(connection.execute(query).scalar_one())


def _history(row: Row[Any], attempts: Sequence[Row[Any]]) -> RequestHistory:
    answers = [one for one in attempts if one.outcome == "answered"] or attempts
    finished = [one.finished_at for one in attempts if one.finished_at]
    return RequestHistory(
        request_id=row.request_id,
        state=row.state,
        provider=row.provider,
        specified_model=row.specified_model,
        prompt_template=row.prompt_template,
        sampling=row.sampling,
        turns=turns_of(row.turns),
        attempts=len(attempts),
        price_usd=row.price_usd,
        attempts_price_usd=sum(one.price_usd for one in attempts),
        run=answers[-1].run if answers else "",
        asked_at=attempts[0].asked_at if attempts else "",
        answered_at=max(finished, default=""),
    )
