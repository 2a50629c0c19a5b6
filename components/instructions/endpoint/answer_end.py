"""Whether an answer is finished: all that a chat completion says about its end, wherever it says it."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.instructions.replies.finish_reasons import decisive_reason

# The finish reason, and beside it: of the upstream behind a gateway; Anthropic and vLLM; older OpenAI; Ollama.
_REASONS = (
    "finish_reason",
    "native_finish_reason",
    "stop_reason",
    "finish_details",
    "done_reason",
    "finishReason",
    "stopReason",
)
# What `status` says of an answer that is there; anything else says that it is not, or not yet.
_FINISHED = frozenset(
    {
        "completed",
        "complete",
        "success",
        "succeeded",
        "successful",
        "finished",
        "finished_successfully",
        "done",
        "ok",
        "200",
    }
)
# Flags and details that say, when they say anything, that something is missing; and those that say, when they deny,
# the same.
_MISSING = frozenset(
    {
        "incomplete_details",
        "incomplete",
        "is_incomplete",
        "incomplete_reason",
        "truncated",
        "is_truncated",
        "was_truncated",
        "partial",
        "is_partial",
        "cut_off",
        "interrupted",
        "aborted",
        "cancelled",
        "canceled",
        "timed_out",
    }
)
_WHOLE = frozenset(
    {
        "complete",
        "completed",
        "is_complete",
        "is_completed",
        "finished",
        "is_finished",
        "done",
        "is_done",
        "end_turn",
        "success",
    }
)
# Flags of filters around a model.
_FILTERED = frozenset({"flagged", "is_flagged", "blocked", "is_blocked", "output_sensitive", "input_sensitive"})
_DENIED = frozenset({"", "false", "no", "none", "null", "0"})


def end_of_answer(choice: Mapping[Any, object], message: Mapping[Any, object], body: Mapping[Any, object]) -> str:
    """Why the model stopped: the finish reason, or what else is said that is worse.

    Args:
        choice: of the completion.
        message: of the choice.
        body: of the completion.

    Returns:
        A reason for `components.instructions.replies.finish_reasons.finish_of`.
    """
    reason = _named(choice.get("finish_reason"))
    others = [_named(part.get(key)) for part in (choice, message, body) for key in _REASONS]
    if not reason:
        reason = _named(choice.get("finish_details")) or "none"
    unfinished = [said for part in (choice, message, body) for said in _unfinished(part)]
    return decisive_reason(reason, (*others, *unfinished))


def _unfinished(part: Mapping[Any, object]) -> Iterator[str]:
    """What a part of the completion says of its being unfinished, in words that the table of finish reasons knows."""
    for key, value in part.items():
        name = str(key).lower()
        if name == "status" and value not in (None, "") and str(value).lower() not in _FINISHED:
            yield "incomplete"
        elif name in _MISSING and not _is_denied(value):
            detail = _named(value.get("reason")) if isinstance(value, Mapping) else _named(value)
            yield from (detail, "truncated" if "truncated" in name else "incomplete")
        elif (name in _WHOLE and value is not None and _is_denied(value)) or (
            name == "object" and str(value).endswith("chunk")
        ):
            yield "incomplete"
        elif name in _FILTERED and not _is_denied(value):
            yield "content_filter"


def _is_denied(value: object) -> bool:
    return value is None or value in ({}, []) or str(value).lower() in _DENIED


def _named(value: object) -> str:
    match value:
        case {"type": str(kind)}:
            return kind
        case str():
            return value
    return ""
