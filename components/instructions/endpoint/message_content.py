"""The text of a chat completion's message, whatever form a server gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TEXT = frozenset({"text", "output_text"})
# What the model thought: Mistral and Anthropic; OpenAI's Responses; OpenRouter.
_THOUGHTS = frozenset(
    {
        "thinking",
        "redacted_thinking",
        "thought",
        "reasoning",
        "reasoning_content",
        "reasoning_text",
        "reasoning.text",
        "reasoning.summary",
        "reasoning.encrypted",
        "summary_text",
    }
)
# Flags of such a part, and the channel of gpt-oss that is the answer's.
_THOUGHT_FLAGS = ("thought", "is_thought", "thinking", "is_thinking", "reasoning", "is_reasoning")
_ANSWERS_CHANNEL = (None, "", "final")
# What the model wants called, as OpenAI and as Gemini write it.
_CALLS = ("tool_calls", "function_call", "toolCalls", "functionCall")


class NoAnswerError(ValueError):
    """A message is not known to be an answer."""


@dataclass(frozen=True, slots=True)
class MessageContent:
    """What a message says.

    Attributes:
        text: of the answer, or of the refusal.
        refused: the model does not want to.
    """

    text: str
    refused: bool = False


def message_content(message: Mapping[Any, object]) -> MessageContent:
    """Put the parts of a message's answer together; thoughts are left out, in whatever field or part they are.

    Args:
        message: of a choice.

    Raises:
        NoAnswerError: it is somebody else's, calls a tool, or holds a part that is not known to be text.
    """
    if message.get("role") not in (None, "", "assistant", "model"):
        raise NoAnswerError(f"a message of role {str(message['role'])[:40]!r}")
    if message.get("refusal"):
        return MessageContent(str(message["refusal"]), refused=True)
    if any(message.get(name) for name in _CALLS):
        raise NoAnswerError("the model calls a tool, and was offered none")
    if message.get("channel") not in _ANSWERS_CHANNEL:
        raise NoAnswerError(f"a message of channel {str(message['channel'])[:40]!r}")
    content = message.get("content")
    parts = content if isinstance(content, list) else [] if content is None else [content]
    read = [_part(part) for part in parts]
    refused = [part.text for part in read if part.refused]
    if refused:
        return MessageContent("".join(refused), refused=True)
    return MessageContent("".join(part.text for part in read))


def _part(part: object) -> MessageContent:
    match part:
        case str():
            return MessageContent(part)
        case {"type": "refusal", "refusal": str(text)}:
            return MessageContent(text, refused=True)
        case {"type": str(kind)} if kind in _THOUGHTS:
            return MessageContent("")
        case {"text": str(), **rest} if _is_thought(rest):
            return MessageContent("")
        case {"text": str(text), **rest} if rest.get("type", "text") in _TEXT:
            return MessageContent(text)
    raise NoAnswerError(f"a part of the content is {str(part)[:120]!r}, which is not known to be text of an answer")


def _is_thought(part: Mapping[Any, object]) -> bool:
    """Whether a part with a text says that it is a thought: by a flag, or by the name of gpt-oss's channel."""
    flagged = any(part.get(name) is True or str(part.get(name)).lower() == "true" for name in _THOUGHT_FLAGS)
    return flagged or part.get("channel") not in _ANSWERS_CHANNEL
