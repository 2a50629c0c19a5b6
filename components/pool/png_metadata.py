"""PNG files whose picture is whole and whose texts or colour profile are not, or are too long for Pillow."""

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS_AND_PROFILE = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})


def without_metadata(data: bytes) -> bytes | None:
    """Take out of a PNG file what the picture does not need: texts, profile, and damaged chunks of that kind.

    Returns:
        The file without them; None when it is no PNG, has none of them, or breaks off in a chunk.
    """
    if not data.startswith(_SIGNATURE):
        return None
    kept, position, dropped = [_SIGNATURE], len(_SIGNATURE), False
    while position < len(data):
        if position + 8 > len(data):
            return None
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length  # length, kind, body, checksum
        if end > len(data):
            return None
        if kind in _TEXTS_AND_PROFILE or (_is_ancillary(kind) and _is_damaged(data[position + 4 : end])):
            dropped = True
        else:
            kept.append(data[position:end])
        position = end
        if kind == b"IEND":
            break
    return b"".join(kept) if dropped else None


def _is_ancillary(kind: bytes) -> bool:
    return kind[:1].islower() and kind != b"tRNS"  # transparency is part of the picture


def _is_damaged(chunk: bytes) -> bool:
    return zlib.crc32(chunk[:-4]) != int.from_bytes(chunk[-4:], "big")
