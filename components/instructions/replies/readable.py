"""Whether a text can be a question or a response: one rule for whoever wrote it."""

from components.pool.record_names import text_fault

_SHOWN = 160  # characters of a text that a message repeats


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space, and what has no width or steers what is shown."""
    return not any(letter.isprintable() and not letter.isspace() for letter in text)


def unreadable(text: str) -> str:
    """What keeps a text out of every table and tokenizer; "" when nothing does."""
    return text_fault(text)[:_SHOWN]
