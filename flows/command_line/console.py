"""What a person sees of a run on the terminal: one line per event; tracebacks stay in the Prefect UI."""

import logging


class OneLinePerError(logging.Formatter):
    """Formats as another formatter does, without tracebacks.

    Args:
        inner: the formatter of the handler.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The record's line; the record itself is left as it is for the other handlers."""
        exception, text = record.exc_info, record.exc_text
        record.exc_info, record.exc_text = None, None
        try:
            return self._inner.format(record)
        finally:
            record.exc_info, record.exc_text = exception, text


def hide_tracebacks() -> None:
    """Leave tracebacks out of what root handlers print; Prefect's own handler keeps them for its UI."""
    for handler in logging.getLogger().handlers:
        if handler.formatter is not None and not isinstance(handler.formatter, OneLinePerError):
            handler.setFormatter(OneLinePerError(handler.formatter))
