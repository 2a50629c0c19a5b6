"""Reading a JSON list entry by entry, so that memory holds one piece of the file and not the file."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from components.pool.records import SourceError

_PIECE = 1 << 20  # bytes read at a time
_LONGEST_RECORD = 64 << 20  # characters; a longer entry is taken for a file that is not a list of records
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
# A number may go on behind the end of the text: "1e+" is read as 1 as long as no digit follows.
_EXPONENT = len("e+0")
_ADVICE = "expected a JSON list of records: [{...}, {...}]"


class _Window:
    """The part of the file's text that is being decoded."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.text = ""
        self.position = 0  # in the text
        self.ended = False
        self.name = name
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._dropped = 0  # characters of the file before the text

    @property
    def character(self) -> int:
        """Characters of the file before the position."""
        return self._dropped + self.position

    def skip_space(self) -> str:
        """Go to the next character that is not white space; "" at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self.position)
            assert match is not None  # the pattern matches the empty text
            self.position = match.end()
            if self.position < len(self.text) or self.ended:
                return self.text[self.position : self.position + 1]
            self.read_more()

    def at_end(self) -> bool:
        """Whether the file ends so soon that what stands here may be the beginning of something longer."""
        return self.ended and len(self.text) - self.position < _EXPONENT

    def read_more(self) -> None:
        """Drop what is behind the position and read on, twice as much each time an entry does not fit."""
        self._dropped += self.position
        self.text = self.text[self.position :]
        self.position = 0
        data = self._file.read(max(_PIECE, len(self.text)))
        self.ended = not data
        try:
            self.text += self._decoder.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            where = self._dropped + len(self.text)
            raise SourceError(
                f"source {self.name} is not JSON: after character {where} it is not UTF-8 text "
                f"({error.reason}); {_ADVICE}"
            ) from None


def iterate_json_array(file: BinaryIO, *, name: str) -> Iterator[object]:
    """Decode the entries of a JSON list one after the other.

    Args:
        file: UTF-8 text, with or without a byte order mark.
        name: the file's name, for messages.

    Raises:
        SourceError: not JSON, not a list, or cut off; the message says at which character.
    """
    window = _Window(file, name)
    opening = window.skip_space()
    if not opening:
        raise SourceError(f"source {name} is empty; {_ADVICE}")
    if opening != "[":
        hint = "; for one object per line use kind jsonl" if opening == "{" else ""
        raise SourceError(f"source {name} is not a JSON list, it starts with {opening!r}; {_ADVICE}{hint}")
    window.position += 1
    count = 0
    delimiter = window.skip_space()
    if delimiter == "]":
        window.position += 1
    while delimiter != "]":
        value = _next_value(window, count)
        delimiter = window.skip_space()
        if delimiter not in (",", "]"):
            if window.at_end():
                raise _cut_off(window, count)
            raise _syntax_error(window, count, f"',' or ']' must follow, not {delimiter!r}")
        window.position += 1
        count += 1
        yield value
    if window.skip_space():
        raise _syntax_error(window, count, "something follows the end of the list")


def _next_value(window: _Window, count: int) -> object:
    while True:
        window.skip_space()
        try:
            value: object
            value, end = _DECODER.raw_decode(window.text, window.position)
        except RecursionError:
            raise _syntax_error(window, count, "it is nested too deeply") from None
        except ValueError as error:
            if window.ended and _reaches_end(error, window):
                raise _cut_off(window, count) from None
            if window.ended or len(window.text) - window.position > _LONGEST_RECORD:
                raise _syntax_error(window, count, str(error)) from None
        else:
            if len(window.text) - end >= _EXPONENT or window.ended:
                window.position = end
                if window.skip_space():
                    return value
                raise _cut_off(window, count)
        window.read_more()


def _reaches_end(error: ValueError, window: _Window) -> bool:
    if not isinstance(error, json.JSONDecodeError):
        return False
    # A literal or an escape that is cut off is reported at its start.
    return error.msg.startswith("Unterminated string") or len(window.text.rstrip()) - error.pos < len(r"\uXXXX")


def _cut_off(window: _Window, count: int) -> SourceError:
    end = window.character + len(window.text) - window.position
    return SourceError(
        f"source {window.name} is cut off: it ends at character {end}, inside record {count + 1} or before the "
        f"list is closed ({count} complete records come before); copy or download it again"
    )


def _syntax_error(window: _Window, count: int, problem: str) -> SourceError:
    return SourceError(
        f"source {window.name} is not JSON: record {count + 1}, at character {window.character}: {problem}; {_ADVICE}"
    )
