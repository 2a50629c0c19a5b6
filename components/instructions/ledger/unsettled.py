"""Outcomes that the ledger could not take: kept in files beside it, and taken in when it is opened the next time."""

import json
import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)

from components.instructions.ledger.rows import (
    COMPLETE_ATTEMPT,
    COMPLETE_REQUEST,
    attempt_outcome,
    locked,
    request_outcome,
)
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.instructions.provider import Answer, Failure, Outcome, Setback
from components.pool.samples import Turn

_LOG = logging.getLogger(__name__)
# Attempts whose outcome may still come.
UNSETTLED = ("asked", "lost")
UNWRITABLE = "unwritable"
_DETAIL_CHARACTERS = 300
_KINDS: dict[str, type[Answer] | type[Failure] | type[Setback]] = {
    "answer": Answer,
    "failure": Failure,
    "setback": Setback,
}


@dataclass(frozen=True, slots=True)
class UnsettledOutcome:
    """What became of a send.

    Attributes:
        outcome: what.
        worker: number of the purchase that sent it.
        number: of the attempt; None: the worker's latest of this request.
        at: when it came, ISO 8601, UTC.
    """

    outcome: Outcome
    worker: int
    number: int | None
    at: str


def keep_unsettled(folder: Path, unsettled: Sequence[UnsettledOutcome]) -> Path:
    """Write outcomes into a file of their own; returns it, once that is durable.

    Raises:
        OSError: the folder cannot be written either.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{unsettled[0].worker}-{uuid.uuid4().hex}.jsonl"
    part = target.with_suffix(".part")
    with part.open("w", encoding="ascii") as stream:
        stream.writelines(json.dumps(_plain(one)) + "\n" for one in unsettled)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(target)
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
    return target


def take_in_unsettled(engine: Engine, folder: Path) -> int:
    """Record what earlier purchases kept; what has its outcome meanwhile is left as it is.

    Two programs may do so at the same time, and one that is killed in between does it again.

    Returns:
        Outcomes recorded.
    """
    taken = 0
    for file in sorted(folder.glob("*.jsonl")):
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:  # another program was faster
            continue
        unsettled = sorted((_unsettled_of(json.loads(line)) for line in lines), key=lambda one: one.outcome.request_id)
        taken += sum(_take_in(engine, one) for one in unsettled)
        file.unlink(missing_ok=True)
        _LOG.warning("%d outcomes of %s are in the ledger now", len(unsettled), file)
    return taken


def is_about_the_data(error: Exception) -> bool:
    """Whether a write failed because of what was to be written, so that trying again changes nothing."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError | ProgrammingError) and not error.connection_invalidated
    return isinstance(error, StatementError | ValueError | TypeError | OverflowError)


def storable(outcome: Outcome, error: Exception, *, may_cost_usd: float) -> Outcome:
    """What is recorded in place of an outcome that the ledger refuses: without texts, at its highest cost.

    Args:
        outcome: that cannot be written.
        error: why.
        may_cost_usd: dollars that its send takes at most.
    """
    # Written out in ASCII, with its control characters: it may repeat what could not be written.
    why = ascii(str(getattr(error, "orig", None) or error))[1 : _DETAIL_CHARACTERS + 1]
    detail = f"the ledger cannot hold the reply: {why}"
    if isinstance(outcome, Setback) and outcome.outcome != "unusable":
        return Setback(outcome.request_id, outcome.outcome, UNWRITABLE, detail)
    if isinstance(outcome, Failure):
        return Failure(outcome.request_id, UNWRITABLE, detail, price_usd=may_cost_usd)
    return Setback(outcome.request_id, "unusable", UNWRITABLE, detail, price_usd=may_cost_usd)


def _take_in(engine: Engine, unsettled: UnsettledOutcome) -> bool:
    try:
        with engine.begin() as connection:
            return _complete(connection, unsettled, why=None)
    except (SQLAlchemyError, ValueError, TypeError, OverflowError) as error:
        if not is_about_the_data(error):
            raise
        with engine.begin() as connection:
            return _complete(connection, unsettled, why=error)


def _complete(connection: Connection, unsettled: UnsettledOutcome, *, why: Exception | None) -> bool:
    """Record an outcome, without its texts when there is a reason for that; False when it has one meanwhile."""
    outcome = unsettled.outcome
    # Locked first, as claims do.
    row = select(REQUESTS.c.request_id).where(REQUESTS.c.request_id == outcome.request_id)
    connection.execute(locked(connection, row)).all()
    open_attempts = (ATTEMPTS.c.request_id == outcome.request_id) & ATTEMPTS.c.outcome.in_(UNSETTLED)
    mine = ATTEMPTS.c.worker == unsettled.worker if unsettled.number is None else ATTEMPTS.c.number == unsettled.number
    latest = select(ATTEMPTS.c.number, ATTEMPTS.c.may_cost_usd).where(open_attempts, mine)
    found = connection.execute(latest.order_by(ATTEMPTS.c.number.desc()).limit(1)).one_or_none()
    if found is None:
        return False
    number, may_cost_usd = found
    if why is not None:
        outcome = storable(outcome, why, may_cost_usd=may_cost_usd)
    connection.execute(COMPLETE_ATTEMPT, attempt_outcome(outcome, number, unsettled.at))
    connection.execute(COMPLETE_REQUEST, request_outcome(outcome, unsettled.at))
    return True


def _plain(unsettled: UnsettledOutcome) -> dict[str, object]:
    kind = next(name for name, made in _KINDS.items() if isinstance(unsettled.outcome, made))
    return {"kind": kind, **asdict(unsettled)}


def _unsettled_of(values: dict[str, Any]) -> UnsettledOutcome:
    fields = dict(values["outcome"])
    if "turns" in fields:
        fields["turns"] = tuple(Turn(**turn) for turn in fields["turns"])
    outcome = _KINDS[values["kind"]](**fields)
    return UnsettledOutcome(outcome, values["worker"], values["number"], values["at"])
