"""The tables of the instruction ledger, and what is written into them for a request, a send and its outcome.

`migrations/` brings older ledgers to this form.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    bindparam,
    case,
    update,
)

from components.instructions.provider import Answer, Failure, Outcome, Send
from components.instructions.request import (
    REQUEST_SCHEMA_VERSION,
    IdentifiedRequest,
    InstructionRequest,
    RequestSpecification,
)
from components.pool.samples import Turn

METADATA = MetaData()

# One row per process that buys, for as long as it is known to others by its number.
WORKERS = Table(
    "workers",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("process", Integer, nullable=False),
    Column("started_at", String(32), nullable=False),  # ISO 8601, UTC
)

# One row per group of requests that is handed out as a whole: to a batch service, to people.
BATCHES = Table(
    "batches",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),  # batch | people
    Column("reference", Text, nullable=False),  # what the endpoint calls it, or the folder that people got
    Column("state", String(16), nullable=False),  # open | closed
    Column("run", Text, nullable=False),
    Column("worker", Integer),  # who looks after it
    Column("created_at", String(32), nullable=False),
    Column("closed_at", String(32)),
    Column("endpoint", Text),  # address without secrets, or `files`; null: of people, or of an older program
    Column("submitted_at", String(32)),  # when handing in began; null: nothing of it can have been charged
)

# One row per time a person was asked whether a run may spend what it wants to.
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("needed_usd", Float, nullable=False),  # dollars of the whole run that it was about
    Column("approved_usd", Float, nullable=False),  # dollars that the run may spend; 0: declined
    Column("decided_at", String(32), nullable=False),
)
Index("decisions_run", DECISIONS.c.run)

# One row per request, written before it is sent the first time.
REQUESTS = Table(
    "requests",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("sample_id", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("image_sha", String(64), nullable=False),
    Column("uri", Text, nullable=False),  # where the image was; no part of the identity
    Column("provider", Text, nullable=False),
    Column("specified_model", Text, nullable=False),
    Column("prompt_template", Text, nullable=False),
    Column("sampling", Text, nullable=False),
    Column("request_schema_version", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # pending | answered | quarantined
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", Integer),  # who has a pending request in hand
    Column("model", Text),  # who answered
    Column("turns", Text),  # JSON: [[question, response], ...]
    Column("input_tokens", BigInteger, nullable=False),  # of all attempts
    Column("output_tokens", BigInteger, nullable=False),  # of all attempts
    Column("price_usd", Float, nullable=False),  # dollars, of all attempts
    Column("reason", Text),  # of a quarantine
    Column("detail", Text),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
)
Index("requests_sample_id", REQUESTS.c.sample_id)
Index("requests_claimed_by", REQUESTS.c.claimed_by)

# One row per time a request was sent, written before it is sent and completed when the outcome is there.
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("request_id", String(64), ForeignKey("requests.request_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("kind", String(16), nullable=False),  # first | retry | repair | witness
    Column("run", Text, nullable=False),
    Column("worker", Integer),
    Column("batch", Integer),
    # asked (in flight) | answered | failed (quarantined) | unusable | refused | unknown (may have been charged) |
    # lost (the process ended before the outcome was recorded; may have been charged)
    Column("outcome", String(16), nullable=False),
    Column("raw_text", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("price_usd", Float, nullable=False),
    Column("may_cost_usd", Float, nullable=False),  # dollars at most, said before it was sent
    Column("latency_seconds", Float),
    Column("error", Text),
    Column("asked_at", String(32), nullable=False),
    Column("finished_at", String(32)),
)
Index("attempts_run", ATTEMPTS.c.run)
Index("attempts_batch", ATTEMPTS.c.batch)
# Of attempts whose outcome may still come.
WITHOUT_OUTCOME = ("asked", "lost")

# An answer that was paid for is kept even when another purchase has given the request up meanwhile.
_IS_OPEN = (REQUESTS.c.state == "pending") | (
    (REQUESTS.c.state == "quarantined") & (bindparam("new_state", type_=String) == "answered")
)
_IS_ENDED = _IS_OPEN & (bindparam("new_state", type_=String) != "pending")

# Built once: putting a statement together takes longer than running it.
# An answer that comes late, after another run was given one for the same request, is booked and changes nothing else.
COMPLETE_REQUEST = (
    update(REQUESTS)
    .where(REQUESTS.c.request_id == bindparam("of_request"))
    .values(
        state=case((_IS_OPEN, bindparam("new_state")), else_=REQUESTS.c.state),
        model=case((_IS_OPEN, bindparam("answered_by")), else_=REQUESTS.c.model),
        turns=case((_IS_OPEN, bindparam("parsed_turns")), else_=REQUESTS.c.turns),
        reason=case((_IS_OPEN, bindparam("failure_reason")), else_=REQUESTS.c.reason),
        detail=case((_IS_OPEN, bindparam("failure_detail")), else_=REQUESTS.c.detail),
        # A request that stays open stays with whoever has it in hand, who may be another by now.
        claimed_by=case((_IS_ENDED, None), else_=REQUESTS.c.claimed_by),
        input_tokens=REQUESTS.c.input_tokens + bindparam("more_input_tokens"),
        output_tokens=REQUESTS.c.output_tokens + bindparam("more_output_tokens"),
        price_usd=REQUESTS.c.price_usd + bindparam("more_price_usd"),
        updated_at=bindparam("now"),
    )
)
COMPLETE_ATTEMPT = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.request_id == bindparam("of_request"), ATTEMPTS.c.number == bindparam("of_number"))
    .values(
        outcome=bindparam("new_outcome"),
        raw_text=bindparam("response"),
        input_tokens=bindparam("tokens_in"),
        output_tokens=bindparam("tokens_out"),
        price_usd=bindparam("price"),
        latency_seconds=bindparam("latency"),
        error=bindparam("failure"),
        finished_at=bindparam("now"),
    )
)


def request_outcome(outcome: Outcome, now: str) -> dict[str, object]:
    """The parameters of `COMPLETE_REQUEST`."""
    answer = outcome if isinstance(outcome, Answer) else None
    failure = outcome if isinstance(outcome, Failure) else None
    return {
        "of_request": outcome.request_id,
        "new_state": "answered" if answer else "quarantined" if failure else "pending",
        "answered_by": answer.model if answer else None,
        "parsed_turns": _turns_text(answer.turns) if answer else None,
        "failure_reason": failure.reason if failure else None,
        "failure_detail": failure.detail if failure else None,
        "more_input_tokens": outcome.input_tokens,
        "more_output_tokens": outcome.output_tokens,
        "more_price_usd": outcome.price_usd,
        "now": now,
    }


def attempt_outcome(outcome: Outcome, number: int, now: str) -> dict[str, object]:
    """The parameters of `COMPLETE_ATTEMPT`."""
    match outcome:
        case Answer():
            name, error = "answered", outcome.note or None
        case Failure(reason=reason, detail=detail):
            name, error = "failed", f"{reason}: {detail}"
        case _:
            name, error = outcome.outcome, f"{outcome.reason}: {outcome.detail}"
    return {
        "of_request": outcome.request_id,
        "of_number": number,
        "new_outcome": name,
        "response": outcome.raw_text,
        "tokens_in": outcome.input_tokens,
        "tokens_out": outcome.output_tokens,
        "price": outcome.price_usd,
        "latency": outcome.latency_seconds,
        "failure": error,
        "now": now,
    }


def request_row(identified: IdentifiedRequest, *, provider: str, worker: int, now: str) -> dict[str, object]:
    """A new row of `REQUESTS`: pending, in hand, not sent yet."""
    request, specification = identified.request, identified.specification
    return {
        "request_id": identified.request_id,
        "sample_id": request.sample_id,
        "task": request.task,
        "image_sha": request.image_sha,
        "uri": request.uri,
        "provider": provider,
        "specified_model": specification.model,
        "prompt_template": specification.prompt_template,
        "sampling": specification.sampling,
        "request_schema_version": REQUEST_SCHEMA_VERSION,
        "state": "pending",
        "attempts": 0,
        "claimed_by": worker,
        "input_tokens": 0,
        "output_tokens": 0,
        "price_usd": 0.0,
        "created_at": now,
        "updated_at": now,
    }


def attempt_row(send: Send, *, number: int, run: str, worker: int, now: str) -> dict[str, object]:
    """A new row of `ATTEMPTS`, in flight."""
    return {
        "request_id": send.request.request_id,
        "number": number,
        "kind": "retry" if number > 1 and send.kind == "first" else send.kind,
        "run": run,
        "worker": worker,
        "batch": send.batch,
        "outcome": "asked",
        "input_tokens": 0,
        "output_tokens": 0,
        "price_usd": 0.0,
        "may_cost_usd": send.may_cost_usd,
        "asked_at": now,
    }


def identified_request_of(row: Row[Any]) -> IdentifiedRequest:
    """The request that a row of `REQUESTS` was made of."""
    return IdentifiedRequest(
        row.request_id,
        InstructionRequest(row.sample_id, row.task, row.image_sha, row.uri, ()),
        RequestSpecification(row.specified_model, row.prompt_template, row.sampling),
    )


def turns_of(text: str | None) -> tuple[Turn, ...]:
    """The turns in a row of `REQUESTS`."""
    return tuple(Turn(question, response) for question, response in json.loads(text or "[]"))


def _turns_text(turns: Sequence[Turn]) -> str:
    return json.dumps([[turn.question, turn.response] for turn in turns], ensure_ascii=False)


def locked(connection: Connection, statement: Select[Any]) -> Select[Any]:
    """Rows that stay as they are until the transaction ends; SQLite's transactions have the whole ledger anyway."""
    return statement.with_for_update() if connection.dialect.name == "postgresql" else statement
