"""Finds the entries of a JSON array without parsing them: where each one is, its bytes, and a few of its fields.

Annotation files reach gigabytes. The scanner keeps one buffer, passes over what it was not asked for by brackets
and quotes alone, and never turns it into objects.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from components.pool.foreign_bytes import LONGEST_START, foreign_bytes

_BLANK = re.compile(rb"[ \t\r\n]*")
# Without possessive quantifiers, which Python 3.11.2 (Debian 12) gets wrong. No part of these can match in two ways, so
# a search that fails costs no more than its length.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[-+.\w]+")
# All that does not change the nesting: strings are swallowed whole, so brackets inside them do not count.
_LEVEL = re.compile(rb'[^"{}\[\]]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{}\[\]]*)*', re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_ENTRY = 64 << 20  # bytes; a longer one is taken for a quote or bracket that is never closed


class JsonArrayError(ValueError):
    """The bytes are not a JSON array; the message says where, and reads on after the file's name."""


class JsonBrokenError(JsonArrayError):
    """The array breaks: it ends early, or is damaged, and nothing behind that place can be read."""


class _Incomplete(Exception):  # noqa: N818 -- not an error: the value goes on beyond the buffer
    """The buffer ends inside a value."""


@dataclass(frozen=True, slots=True)
class JsonEntry:
    """One entry of the array.

    Attributes:
        offset: of its first byte, from the start of the file.
        raw: its bytes.
        fields: of an object, the wanted keys that it has, each with the bytes of its value.
        fault: of an object that was looked into, what is wrong with its form; it has no fields then.
    """

    offset: int
    raw: bytes
    fields: Mapping[str, bytes]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class JsonFault:
    """What stands in the place of entries that cannot be read.

    Attributes:
        detail: what is wrong; reads on after the file's name.
        is_the_rest: the array breaks here, and whatever follows is lost.
    """

    detail: str
    is_the_rest: bool


def scan_json_array(
    read: Callable[[int], bytes], *, wanted: Collection[str] = (), chunk_bytes: int = 1 << 20
) -> Iterator[JsonEntry]:
    """Walk over the entries of a JSON array.

    Args:
        read: gives the next bytes, at most as many as asked for, and b"" at the end.
        wanted: keys of the top level of an object whose values are kept.
        chunk_bytes: bytes asked for at a time.

    Yields:
        The entries, in file order. Memory is bounded by the largest entry and a chunk.

    Raises:
        JsonArrayError: not an array; a `JsonBrokenError` where it ends early or is damaged.
    """
    buffer = _start(read, chunk_bytes)
    base = 0  # file offset of buffer[0]
    position = 0
    count = 0
    at_end = False
    expect = "'['"
    while True:
        try:
            position = _skip_blank(buffer, position, strip_mark=base == 0 and expect == "'['")
            token = buffer[position : position + 1]
            if expect == "'['" and token == b"[":
                position, expect = position + 1, "a value or ']'"
            elif token == b"]" and expect.endswith("']'"):
                _expect_nothing_more(buffer[position + 1 :], read, base + position + 1, chunk_bytes)
                return
            elif token == b"," and expect.startswith("','"):
                position, expect = position + 1, "a value"
            elif token == b"]" and expect == "a value":
                raise JsonArrayError(
                    f"is not JSON: a comma before the closing ], at byte {base + position}; take it out"
                )
            elif expect.startswith("a value"):
                end, fields, fault = _scan_entry(buffer, position, base, wanted)
                yield JsonEntry(base + position, buffer[position:end], fields, fault)
                position, expect, count = end, "',' or ']'", count + 1
            else:
                raise _unexpected(buffer, position, base, expect)
        except _Incomplete:
            if at_end:
                raise _ends_early(base + len(buffer), count, empty=expect == "'['") from None
            if len(buffer) - position > _LONGEST_ENTRY:
                raise JsonBrokenError(
                    f"has no end of entry {count + 1} within {_LONGEST_ENTRY >> 20} MiB, from byte {base + position} "
                    "on: a quote or bracket is not closed"
                ) from None
            # An entry larger than a chunk is rescanned from its start, so the chunks double.
            more = read(max(chunk_bytes, len(buffer) - position))
            at_end = not more
            buffer, base, position = buffer[position:] + more, base + position, 0


def _start(read: Callable[[int], bytes], chunk_bytes: int) -> bytes:
    start = b""
    while len(start) < LONGEST_START and (more := read(chunk_bytes)):
        start += more
    foreign = foreign_bytes(start[:LONGEST_START])
    if foreign:
        raise JsonArrayError(f"is not a JSON array in UTF-8: it {foreign}")
    return start


def _ends_early(offset: int, count: int, *, empty: bool) -> JsonBrokenError:
    if empty:
        return JsonBrokenError("is empty")
    return JsonBrokenError(
        f"ends early, at byte {offset}, inside entry {count + 1} or before the array is closed ({count} complete "
        "entries come before); copy or download it again"
    )


def _skip_blank(buffer: bytes, position: int, *, strip_mark: bool) -> int:
    if strip_mark and len(buffer) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(buffer):
        raise _Incomplete
    if strip_mark and position == 0 and buffer.startswith(_BYTE_ORDER_MARK):
        position = len(_BYTE_ORDER_MARK)
    match = _BLANK.match(buffer, position)
    assert match is not None
    if match.end() == len(buffer):
        raise _Incomplete
    return match.end()


def _expect_nothing_more(rest: bytes, read: Callable[[int], bytes], offset: int, chunk_bytes: int) -> None:
    while True:
        if rest.strip(b" \t\r\n"):
            raise JsonBrokenError(f"has more after the array's end, at byte {offset}")
        offset += len(rest)
        rest = read(chunk_bytes)
        if not rest:
            return


def _unexpected(buffer: bytes, position: int, base: int, expected: str) -> JsonArrayError:
    found = buffer[position : position + 20].decode("utf-8", errors="replace")
    kind = JsonArrayError if expected == "'['" else JsonBrokenError
    return kind(f"is not a JSON array in UTF-8: byte {base + position} is {found!r}, expected {expected}")


def _scan_entry(buffer: bytes, position: int, base: int, wanted: Collection[str]) -> tuple[int, dict[str, bytes], str]:
    """End, fields and fault of the entry at a position; an object with a fault ends where its brackets say."""
    if buffer[position : position + 1] != b"{" or not wanted:
        return _value_end(buffer, position, base), {}, ""
    try:
        end, fields = _scan_object(buffer, position, base, wanted)
    except JsonArrayError as error:
        return _value_end(buffer, position, base), {}, str(error)
    return end, fields, ""


def _scan_object(buffer: bytes, start: int, base: int, wanted: Collection[str]) -> tuple[int, dict[str, bytes]]:
    fields: dict[str, bytes] = {}
    position = _skip_blank(buffer, start + 1, strip_mark=False)
    if buffer[position : position + 1] == b"}":
        return position + 1, fields
    while True:
        key_end = _string_end(buffer, position, base)
        key = decode_value(buffer[position:key_end], f"the key at byte {base + position}")
        position = _skip_blank(buffer, key_end, strip_mark=False)
        if buffer[position : position + 1] != b":":
            raise _unexpected(buffer, position, base, "':'")
        position = _skip_blank(buffer, position + 1, strip_mark=False)
        end = _value_end(buffer, position, base)
        if isinstance(key, str) and key in wanted:
            fields[key] = buffer[position:end]
        position = _skip_blank(buffer, end, strip_mark=False)
        separator = buffer[position : position + 1]
        if separator == b"}":
            return position + 1, fields
        if separator != b",":
            raise _unexpected(buffer, position, base, "',' or '}'")
        position = _skip_blank(buffer, position + 1, strip_mark=False)


def _value_end(buffer: bytes, position: int, base: int) -> int:
    first = buffer[position : position + 1]
    if first == b'"':
        return _string_end(buffer, position, base)
    if first not in (b"{", b"["):
        match = _SCALAR.match(buffer, position)
        if match is None:
            raise _unexpected(buffer, position, base, "a value")
        if match.end() == len(buffer):
            raise _Incomplete
        return match.end()
    depth = 0
    while True:
        match = _LEVEL.match(buffer, position)
        assert match is not None
        position = match.end()
        bracket = buffer[position : position + 1]
        if bracket in (b"", b'"'):  # the buffer's end, or a string that goes on beyond it
            raise _Incomplete
        depth += 1 if bracket in (b"{", b"[") else -1
        position += 1
        if depth == 0:
            return position


def _string_end(buffer: bytes, position: int, base: int) -> int:
    if buffer[position : position + 1] != b'"':
        raise _unexpected(buffer, position, base, "a string")
    match = _STRING.match(buffer, position)
    if match is None:
        raise _Incomplete
    return match.end()


def read_json_records(read: Callable[[int], bytes]) -> Iterator[object]:
    """Read a JSON array entry by entry.

    Args:
        read: as `scan_json_array` takes it.

    Yields:
        The entries, as Python values.

    Raises:
        JsonArrayError: not an array of JSON values in UTF-8, or it ends early.
    """
    for number, entry in enumerate(scan_json_array(read), start=1):
        yield decode_value(entry.raw, f"record {number}, at byte {entry.offset}")


def salvage_json_records(read: Callable[[int], bytes]) -> Iterator[object | JsonFault]:
    """Read all that can be read of a JSON array.

    Args:
        read: as `scan_json_array` takes it.

    Yields:
        The entries, as Python values; a `JsonFault` for one that is not JSON, and for the rest of an array that breaks.

    Raises:
        JsonArrayError: no array, or a comma before its end; a `JsonBrokenError` where it breaks before its first entry.
    """
    number = 0
    try:
        for number, entry in enumerate(scan_json_array(read), start=1):
            try:
                yield decode_value(entry.raw, f"record {number}, at byte {entry.offset}")
            except JsonArrayError as error:
                yield JsonFault(str(error), is_the_rest=False)
    except JsonBrokenError as error:
        if not number:
            raise
        yield JsonFault(str(error), is_the_rest=True)


def decode_value(raw: bytes, where: str) -> object:
    """The value of a piece of the array.

    Args:
        raw: its bytes.
        where: what it is, for the message.

    Raises:
        JsonArrayError: it is not JSON in UTF-8.
    """
    try:
        value: object = json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise JsonArrayError(f"is not JSON: {where}, is nested too deeply") from None
    except ValueError as error:
        raise JsonArrayError(f"is not JSON: {where}: {error}") from None
    return value
