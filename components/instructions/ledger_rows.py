"""What the ledger writes into its tables for a request and for its outcome."""

import json
from collections.abc import Sequence

from sqlalchemy import bindparam, update

from components.instructions.ledger_tables import ATTEMPTS, REQUESTS
from components.instructions.provider import Answer, Failure
from components.instructions.request import REQUEST_SCHEMA_VERSION, IdentifiedRequest
from components.records import Turn

# Built once: putting a statement together takes longer than running it.
COMPLETE_REQUEST = (
    update(REQUESTS)
    .where(REQUESTS.c.request_id == bindparam("of_request"))
    .values(
        state=bindparam("new_state"),
        model=bindparam("answered_by"),
        turns=bindparam("parsed_turns"),
        reason=bindparam("failure_reason"),
        detail=bindparam("failure_detail"),
        input_tokens=REQUESTS.c.input_tokens + bindparam("more_input_tokens"),
        output_tokens=REQUESTS.c.output_tokens + bindparam("more_output_tokens"),
        price_usd=REQUESTS.c.price_usd + bindparam("more_price_usd"),
        updated_at=bindparam("now"),
    )
)
COMPLETE_ATTEMPT = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.request_id == bindparam("of_request"), ATTEMPTS.c.outcome == "asked")
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


def request_outcome(outcome: Answer | Failure, now: str) -> dict[str, object]:
    """The parameters of `COMPLETE_REQUEST`."""
    answer = outcome if isinstance(outcome, Answer) else None
    failure = outcome if isinstance(outcome, Failure) else None
    return {
        "of_request": outcome.request_id,
        "new_state": "answered" if answer else "quarantined",
        "answered_by": answer.model if answer else None,
        "parsed_turns": _turns_text(answer.turns) if answer else None,
        "failure_reason": failure.reason if failure else None,
        "failure_detail": failure.detail if failure else None,
        "more_input_tokens": outcome.input_tokens,
        "more_output_tokens": outcome.output_tokens,
        "more_price_usd": outcome.price_usd,
        "now": now,
    }


def attempt_outcome(outcome: Answer | Failure, now: str) -> dict[str, object]:
    """The parameters of `COMPLETE_ATTEMPT`."""
    return {
        "of_request": outcome.request_id,
        "new_outcome": "answered" if isinstance(outcome, Answer) else "failed",
        "response": outcome.raw_text,
        "tokens_in": outcome.input_tokens,
        "tokens_out": outcome.output_tokens,
        "price": outcome.price_usd,
        "latency": outcome.latency_seconds,
        "failure": f"{outcome.reason}: {outcome.detail}" if isinstance(outcome, Failure) else None,
        "now": now,
    }


def request_row(identified: IdentifiedRequest, provider: str, now: str) -> dict[str, object]:
    """A new row of `REQUESTS`, pending, sent once."""
    request, specification = identified.request, identified.specification
    return {
        "request_id": identified.request_id,
        "sample_id": request.sample_id,
        "task": request.task,
        "image_sha": request.image_sha,
        "provider": provider,
        "specified_model": specification.model,
        "prompt_template": specification.prompt_template,
        "sampling": specification.sampling,
        "request_schema_version": REQUEST_SCHEMA_VERSION,
        "state": "pending",
        "attempts": 1,
        "input_tokens": 0,
        "output_tokens": 0,
        "price_usd": 0.0,
        "created_at": now,
        "updated_at": now,
    }


def _turns_text(turns: Sequence[Turn]) -> str:
    return json.dumps([[turn.question, turn.response] for turn in turns], ensure_ascii=False)
