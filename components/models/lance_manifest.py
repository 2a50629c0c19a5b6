"""The manifest of a version of a LanceDB table: which files the version is made of.

LanceDB does not say this of a version that it cannot read, so the few fields needed are read from the bytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"LANC"  # ends a manifest and a data file
ARROW_MAGIC = b"ARROW1"  # ends a list of deleted rows
_FOOTER = struct.Struct("<QHH4s")  # where the message begins, major and minor format version, the magic
_LENGTH = struct.Struct("<I")
_READABLE = (0, 2)  # format version of manifests that this module reads

# Field numbers in the format's protobuf messages.
_FRAGMENTS = 2  # of a manifest
_ID, _FILES, _DELETIONS = 1, 2, 3  # of a fragment
_PATH, _SIZE, _BASE = 1, 6, 7  # of a data file
_KIND, _READ_VERSION, _DELETION_ID, _DELETION_BASE = 1, 2, 3, 7  # of a list of deleted rows


class UnknownManifestError(ValueError):
    """A manifest whose end is whole, but which this module cannot read."""


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that a version is made of.

    Attributes:
        path: relative to the table.
        size: bytes, as the manifest says it; 0 where it does not.
        ending: the bytes it ends with when it is whole.
    """

    path: str
    size: int
    ending: bytes


def is_cut(manifest: bytes) -> bool:
    """Whether a manifest lacks its end, or names a beginning that lies beyond it."""
    if len(manifest) < _FOOTER.size or not manifest.endswith(MAGIC):
        return True
    return bool(_FOOTER.unpack(manifest[-_FOOTER.size :])[0] > len(manifest) - _FOOTER.size - _LENGTH.size)


def named_files(manifest: bytes) -> tuple[NamedFile, ...]:
    """The files of a version, those in other places than the table left out.

    Args:
        manifest: that is not cut.

    Raises:
        UnknownManifestError: it is of another format version, or no such message.
    """
    start, *version, _ = _FOOTER.unpack(manifest[-_FOOTER.size :])
    if tuple(version) != _READABLE:
        raise UnknownManifestError(f"its format version is {version}, and {list(_READABLE)} can be checked")
    try:
        (length,) = _LENGTH.unpack_from(manifest, start)
        begin = start + _LENGTH.size
        if begin + length > len(manifest) - _FOOTER.size:
            raise UnknownManifestError("its message is longer than itself")
        found: list[NamedFile] = []
        for number, fragment in _fields(manifest[begin : begin + length]):
            if number == _FRAGMENTS:
                found += _files_of(_bytes(fragment))
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise UnknownManifestError(f"its message cannot be read ({error})") from None
    return tuple(found)


def _files_of(fragment: bytes) -> Iterator[NamedFile]:
    fields = list(_fields(fragment))
    identity = _number(fields, _ID)
    for number, value in fields:
        if number == _FILES:
            data = list(_fields(_bytes(value)))
            if not _has(data, _BASE):
                (path,) = (_bytes(inner).decode() for key, inner in data if key == _PATH)
                yield NamedFile(f"data/{path}", _number(data, _SIZE), MAGIC)
        elif number == _DELETIONS:
            rows = list(_fields(_bytes(value)))
            if not _has(rows, _DELETION_BASE):
                suffix, ending = ("bin", b"") if _number(rows, _KIND) else ("arrow", ARROW_MAGIC)
                name = f"{identity}-{_number(rows, _READ_VERSION)}-{_number(rows, _DELETION_ID)}.{suffix}"
                yield NamedFile(f"_deletions/{name}", 0, ending)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field of a protobuf message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise UnknownManifestError(f"its message has a field of type {kind}")
        if at + size > len(message):
            raise UnknownManifestError("a field of its message is longer than the message")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _has(fields: list[tuple[int, int | bytes]], wanted: int) -> bool:
    return any(number == wanted for number, _ in fields)


def _number(fields: list[tuple[int, int | bytes]], wanted: int) -> int:
    """0 where the field is absent, as in protobuf."""
    for number, value in fields:
        if number == wanted:
            if isinstance(value, bytes):
                raise UnknownManifestError(f"field {wanted} of its message is no number")
            return value
    return 0


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise UnknownManifestError("a field of its message is a number where a message or a text is expected")
    return value
