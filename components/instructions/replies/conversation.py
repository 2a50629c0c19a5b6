"""A record's conversation, checked and turned into turns."""

import json
from collections.abc import Mapping

from components.instructions.replies.readable import is_blank, unreadable
from components.pool.record_names import CONVERSATION_FIELDS, is_nothing
from components.pool.samples import Turn

IMAGE_PLACEHOLDER = "<image>"
_HUMAN = frozenset({"human", "user"})
_MODEL = frozenset({"gpt", "assistant"})
# Fields of a message, of which the first that has a value counts.
_SPEAKER = ("from", "role")
_SAID = ("value", "content")
# What records for tuning and logs of chats say beside a text that is not to be learned from: OpenAI, ms-swift, Axolotl.
_LEFT_OUT = ("weight", "loss", "train", "training")
# And where it is not the whole of what was said, or no answer.
_BESIDE = ("tool_calls", "function_call", "refusal")


class ConversationError(ValueError):
    """The record holds no usable conversation.

    Attributes:
        reason: `malformed_json`, `no_conversation`, `turn_order`, `not_text`, `empty_response`, `image_in_response` or
            `not_an_answer`.
        detail: what exactly.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parse_conversation(raw: bytes) -> tuple[Turn, ...]:
    """Read the turns of one record.

    Args:
        raw: the record's JSON, `{"id": ..., "conversations": [{"from": ..., "value": ...}, ...]}`, or with `messages`
            of `role` and `content`.

    Returns:
        At least one turn; questions without the image placeholder, both texts without outer blanks.

    Raises:
        ConversationError: it is not a sequence of question and response that starts with a question and
            ends with a response.
    """
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ConversationError("malformed_json", str(error)) from None
    return conversation_turns(record)


def record_messages(record: object) -> object:
    """What is said in a record: `conversations`, else `messages`, without what the system says; None: nothing."""
    if not isinstance(record, Mapping):
        return None
    messages = _first(record, CONVERSATION_FIELDS)
    if not isinstance(messages, list):
        return messages
    # It is said to the model, not by the annotator; the model that is tuned has a system message of its own.
    return [one for one in messages if not (isinstance(one, Mapping) and _speaker(one) == "system")]


def conversation_turns(record: object) -> tuple[Turn, ...]:
    """Check the conversation of a record that is parsed already; see `parse_conversation`."""
    messages = record_messages(record)
    if not isinstance(messages, list) or not messages:
        raise ConversationError("no_conversation", "the record has no list 'conversations', or an empty one")
    texts = [_text(message, number) for number, message in enumerate(messages)]
    if len(texts) % 2:
        raise ConversationError("turn_order", f"{len(texts)} messages: the last question has no response")
    turns = tuple(
        Turn(question.replace(IMAGE_PLACEHOLDER, "").strip(), response.strip())
        for question, response in zip(texts[::2], texts[1::2], strict=True)
    )
    for number, turn in enumerate(turns):
        if is_blank(turn.response):
            raise ConversationError("empty_response", f"the response of turn {number} is empty")
        if IMAGE_PLACEHOLDER in turn.response:
            raise ConversationError("image_in_response", f"the response of turn {number} contains {IMAGE_PLACEHOLDER}")
    return turns


def _speaker(message: Mapping[str, object]) -> object:
    return _first(message, _SPEAKER)


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> object:
    """The first of some fields that has a value; records of several sources in one table have all of them."""
    given = [fields[name] for name in names if fields.get(name) is not None]
    return next((value for value in given if not is_nothing(value)), given[0] if given else None)


def _text(message: object, number: int) -> str:
    if not isinstance(message, Mapping):
        raise ConversationError("not_text", f"message {number} is {type(message).__name__}, not an object")
    speaker, value = _speaker(message), _first(message, _SAID)
    expected = _MODEL if number % 2 else _HUMAN
    if speaker not in expected:
        raise ConversationError(
            "turn_order", f"message {number} is from {speaker!r}, expected {' or '.join(sorted(expected))}"
        )
    if number % 2:
        _check_answer(message, number)
    if isinstance(value, list):
        value = _joined_parts(value, number)
    if not isinstance(value, str):
        raise ConversationError("not_text", f"the value of message {number} is {type(value).__name__}, not text")
    if unreadable(value):
        raise ConversationError("not_text", f"message {number} {unreadable(value)}")
    return value


def _check_answer(message: Mapping[str, object], number: int) -> None:
    left_out = [name for name in _LEFT_OUT if message.get(name) == 0]  # False too
    beside = [name for name in _BESIDE if not is_nothing(message.get(name))]
    if left_out or beside:
        said = ", ".join(f"{name} {message[name]!r:.80}" for name in (*left_out, *beside))
        raise ConversationError("not_an_answer", f"the response in message {number} is not one to learn from: {said}")


def _joined_parts(parts: list[object], number: int) -> str:
    """The texts of a message in parts; the place of an image is no text."""
    texts = []
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        text = part.get("text") if isinstance(part, Mapping) and kind == "text" else None
        if isinstance(text, str):
            texts.append(text)
        elif kind not in ("image", "image_url"):
            raise ConversationError(
                "not_text", f"a part of message {number} is neither text nor an image: {part!r:.80}"
            )
        elif number % 2:
            raise ConversationError("image_in_response", f"the response in message {number} contains an image")
    return "\n".join(texts)
