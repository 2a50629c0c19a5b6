"""What a model's response must be like to become an instruction."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from components.instructions.prompts import PromptTemplate, Range
from components.instructions.replies.conversation import IMAGE_PLACEHOLDER
from components.instructions.replies.finish_reasons import finish_of
from components.instructions.replies.language import other_language
from components.instructions.replies.readable import is_blank, unreadable
from components.instructions.replies.refusals import refuses
from components.instructions.replies.thinking import UnendedThinkingError, left_over, without_thinking
from components.pool.samples import Turn

# A fence around the whole response, which chat models like to add.
_FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$", re.DOTALL)


class RuleBrokenError(ValueError):
    """A response cannot be used.

    Attributes:
        reason: `not_json`, `wrong_schema`, `turn_count`, `empty`, `too_short`, `too_long`, `language`, `refusal`,
            `cut_off`, `unfinished`, `thinking`, `not_text` or `image_placeholder`.
        detail: what exactly, for a person and for the model that gets it back.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _WrittenTurn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: str
    response: str


class _WrittenConversation(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    turns: list[_WrittenTurn]


def read_response(
    text: str, template: PromptTemplate, *, question: str, finish_reason: str = "stop"
) -> tuple[Turn, ...]:
    """Turn a response into an instruction, or say which rule it breaks.

    Args:
        text: as it came.
        template: that asked for it.
        question: that was put, for a template that writes responses; else empty.
        finish_reason: why the model stopped, see `components.instructions.replies.finish_reasons`.

    Returns:
        The turns, without outer blanks.

    Raises:
        RuleBrokenError: it is not usable.
    """
    finish = finish_of(finish_reason)
    if finish == "refused":
        raise RuleBrokenError("refusal", f"the model or a filter refuses ({finish_reason}): {text.strip()[:160]!r}")
    if finish == "cut_off":
        raise RuleBrokenError("cut_off", "the response was cut off at instructions.max_output_tokens; write less")
    if finish == "failed":
        raise RuleBrokenError("unfinished", f"the response is not known to be whole: it ended with {finish_reason!r}")
    try:
        text = without_thinking(text)
    except UnendedThinkingError as error:
        raise RuleBrokenError("thinking", str(error)) from None
    if is_blank(text):
        raise RuleBrokenError("empty", "the response is empty")
    if refuses(text):
        raise RuleBrokenError("refusal", f"the model refuses: {text.strip()[:160]!r}")
    turns = _conversation(text) if template.writes == "conversation" else (Turn(question, text.strip()),)
    _check_turn_count(turns, template.turns)
    for number, turn in enumerate(turns, start=1):
        _check_turn(turn, number, template)
    _check_language(turns, template)
    return turns


def conversation_schema(turns: Range) -> dict[str, object]:
    """The JSON schema of a conversation, for endpoints that can promise one.

    Only the form: limits on counts are not supported everywhere and are checked afterwards anyway.
    """
    text = {"type": "string"}
    turn = {
        "type": "object",
        "properties": {"question": text, "response": text},
        "required": ["question", "response"],
        "additionalProperties": False,
    }
    described = {"type": "array", "items": turn, "description": f"{turns.at_least} to {turns.at_most} turns"}
    return {"type": "object", "properties": {"turns": described}, "required": ["turns"], "additionalProperties": False}


def _conversation(text: str) -> tuple[Turn, ...]:
    fenced = _FENCED.match(text)
    try:
        written = _WrittenConversation.model_validate_json(fenced[1] if fenced else text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise RuleBrokenError("not_json", f"the response is not JSON: {first['msg']}") from None
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise RuleBrokenError(
            "wrong_schema",
            f'{where}: {first["msg"]}; the form is {{"turns": [{{"question": "...", "response": "..."}}]}}',
        ) from None
    return tuple(Turn(turn.question.strip(), turn.response.strip()) for turn in written.turns)


def _check_turn_count(turns: Sequence[Turn], allowed: Range) -> None:
    if not allowed.at_least <= len(turns) <= allowed.at_most:
        raise RuleBrokenError("turn_count", f"{len(turns)} turns; {allowed.at_least} to {allowed.at_most} are wanted")


def _check_turn(turn: Turn, number: int, template: PromptTemplate) -> None:
    if is_blank(turn.question) or is_blank(turn.response):
        missing = "question" if is_blank(turn.question) else "response"
        raise RuleBrokenError("empty", f"the {missing} of turn {number} is empty")
    fault = unreadable(turn.question) or unreadable(turn.response)
    if fault:
        raise RuleBrokenError("not_text", f"turn {number} {fault}")
    if IMAGE_PLACEHOLDER in turn.question or IMAGE_PLACEHOLDER in turn.response:
        raise RuleBrokenError("image_placeholder", f"turn {number} contains {IMAGE_PLACEHOLDER}")
    mark = left_over(turn.question) or left_over(turn.response)
    if mark:
        raise RuleBrokenError("thinking", f"turn {number} contains {mark!r}, which is no part of an answer")
    if refuses(turn.response):
        raise RuleBrokenError("refusal", f"the response of turn {number} refuses: {turn.response[:160]!r}")
    words, allowed = len(turn.response.split()), template.response_words
    if words < allowed.at_least:
        raise RuleBrokenError(
            "too_short", f"the response of turn {number} has {words} words, at least {allowed.at_least}"
        )
    if words > allowed.at_most:
        raise RuleBrokenError("too_long", f"the response of turn {number} has {words} words, at most {allowed.at_most}")


def _check_language(turns: Sequence[Turn], template: PromptTemplate) -> None:
    text = " ".join(f"{turn.question} {turn.response}" for turn in turns)
    found = other_language(text, wanted=template.language)
    if found:
        raise RuleBrokenError("language", f"the text is in {found!r}, not in {template.language!r}")
