"""Walking over an uncompressed tar file to its true end: what breaks off or was damaged is noticed.

`tarfile` takes a header that it cannot read for the end of the archive, unless it is the first. So what follows the
last member is looked at here: an archive ends in a block of zeros, and nothing but zeros comes after it.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from components.pool.clutter import is_clutter, normal_name
from components.pool.foreign_bytes import LONGEST_START, foreign_bytes
from components.pool.records import SourceError

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a shard.

    Attributes:
        name: normalised; a path below the shard.
        info: where its bytes are.
    """

    name: str
    info: tarfile.TarInfo


@contextmanager
def open_shard(stream: BinaryIO, shard: str) -> Iterator[tarfile.TarFile | None]:
    """Open a tar file; None when it broke off before its first header ends.

    Raises:
        SourceError: it is not an uncompressed tar file.
    """
    start = stream.read(tarfile.BLOCKSIZE)
    stream.seek(0)
    if len(start) < tarfile.BLOCKSIZE and not foreign_bytes(start[:LONGEST_START]):
        yield None
        return
    try:
        archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - closed by the block below
    except (tarfile.TarError, RecursionError) as error:  # the second: of thousands of headers about the next header
        stream.seek(0)
        foreign = foreign_bytes(stream.read(LONGEST_START))
        advice = f"it {foreign}" if foreign else "copy or write it again"
        raise SourceError(f"source {shard} is not an uncompressed tar file ({error}); {advice}") from error
    with archive:
        yield archive


def read_members(archive: tarfile.TarFile | None, stream: BinaryIO) -> tuple[list[Member], str]:
    """Walk over a shard's headers.

    Args:
        archive: the shard, as `open_shard` gave it.
        stream: its bytes, which can be sought in.

    Returns:
        Its members whose bytes are all there, without folders and what operating systems leave behind; and what is
        damaged, "" when nothing is.
    """
    size = stream.seek(0, 2)
    members: list[Member] = []
    if archive is None:
        return members, f"it has {size} bytes, less than one header"
    try:
        for info in archive:
            if info.size < 0:
                return members, f"{info.name} at byte {info.offset} says that it has {info.size} bytes"
            if info.isreg() and not info.issparse() and info.offset_data + info.size > size:
                return members, f"it ends at byte {size}, inside {info.name}"
            name = normal_name(info.name)
            if not info.isdir() and not is_clutter(name):
                members.append(Member(name, info))
    except (
        tarfile.TarError,
        RecursionError,
        ValueError,
        OverflowError,
    ) as error:  # of a header whose numbers or texts are no such
        return members, f"no header can be read at byte {archive.offset} ({error})"
    return members, _fault_at_end(stream, archive.offset, size)


def _fault_at_end(stream: BinaryIO, offset: int, size: int) -> str:
    """What is wrong behind the last member; `offset` is where the walk stopped."""
    stream.seek(offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if not block:
        return f"it ends at byte {size} without the mark of an archive's end"
    if block.strip(b"\0"):
        return f"byte {offset} is neither a header nor an archive's end"
    while chunk := stream.read(_CHUNK):
        if chunk.strip(b"\0"):
            return f"more follows its end at byte {offset} (a damaged header, or archives joined without tar -A)"
    return ""
