"""The text of a chat completion's message, whatever form a server gives it."""

from collections.abc import Mapping
from dataclasses import dataclass

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


def message_content(message: Mapping[str, object]) -> MessageContent:
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
    if message.get("tool_calls") or message.get("function_call"):
        raise NoAnswerError("the model calls a tool, and was offered none")
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
        case {"text": str(), "thought": True}:  # Gemini
            return MessageContent("")
        case {"text": str(text), **rest} if rest.get("type", "text") in _TEXT:
            return MessageContent(text)
    raise NoAnswerError(f"a part of the content is {str(part)[:120]!r}, which is not known to be text of an answer")
