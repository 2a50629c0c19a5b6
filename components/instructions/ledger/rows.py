"""What the ledger writes into its tables for a request, for a send and for its outcome."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, String, bindparam, case, update

from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.instructions.provider import Answer, Failure, Outcome, Send
from components.instructions.request import (
    REQUEST_SCHEMA_VERSION,
    IdentifiedRequest,
    InstructionRequest,
    RequestSpecification,
)
from components.pool.samples import Turn

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
            name, error = "answered", None
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


def identified_request_of(row: object) -> IdentifiedRequest:
    """The request that a row of `REQUESTS` was made of."""
    values = row._mapping  # type: ignore[attr-defined]
    return IdentifiedRequest(
        values["request_id"],
        InstructionRequest(values["sample_id"], values["task"], values["image_sha"], values["uri"], ()),
        RequestSpecification(values["specified_model"], values["prompt_template"], values["sampling"]),
    )


def turns_of(text: str | None) -> tuple[Turn, ...]:
    """The turns in a row of `REQUESTS`."""
    return tuple(Turn(question, response) for question, response in json.loads(text or "[]"))


def _turns_text(turns: Sequence[Turn]) -> str:
    return json.dumps([[turn.question, turn.response] for turn in turns], ensure_ascii=False)


def locked(connection: Connection, statement: Select[Any]) -> Select[Any]:
    """Rows that stay as they are until the transaction ends; SQLite's transactions have the whole ledger anyway."""
    return statement.with_for_update() if connection.dialect.name == "postgresql" else statement
