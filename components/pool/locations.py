"""Where bytes are: local paths, fsspec URLs and members of tar shards, all written as one URI text.

- `images/a.jpg`, `/pool/a.jpg`, `file:///pool/a.jpg`: a local file.
- `s3://bucket/a.jpg`, `memory://a.jpg`, ...: whatever fsspec has a file system for.
- `tar-member:OFFSET+SIZE@SHARD`: SIZE bytes from OFFSET of the uncompressed tar file SHARD (one of the
  above), so that a member is read without going through the tar again.
"""

import glob
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import fsspec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://|^[A-Za-z][A-Za-z0-9+.-]*::")
_LOCAL_URL = re.compile(r"^(?:file|local)://")
_TAR_MEMBER = re.compile(r"^tar-member:(\d+)\+(\d+)@(.+)$", re.DOTALL)
_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBER_RANGE = re.compile(r"^(\d+)\.\.(\d+)$")
_MOST_FILES = 1_000_000  # that brace lists may name
_REMOTE_BUFFER = 1 << 20  # bytes
# What file systems call a file's version in their listings; the first that is there is used.
_VERSION_KEYS = ("ETag", "etag", "generation", "LastModified", "last_modified", "updated", "mtime")


def local_path(uri: str) -> Path | None:
    """The path of a local file or folder, or None when the URI is on a remote file system."""
    if _LOCAL_URL.match(uri):
        return Path(uri.split("://", 1)[1])
    return None if _URL.match(uri) or _TAR_MEMBER.match(uri) else Path(uri)


def tar_member_uri(shard: str, *, offset: int, size: int) -> str:
    """The URI of `size` bytes from `offset` of an uncompressed tar file."""
    return f"tar-member:{offset}+{size}@{shard}"


def open_binary(uri: str) -> BinaryIO:
    """Open what a URI names for reading; the file can be sought in.

    Raises:
        OSError: not there, not readable, a pipe or device, which is not opened, or of a protocol that fsspec does not
            know or lacks a package for; later also from what is read.
        EOFError: the tar ends before the member does.
    """
    member = _TAR_MEMBER.match(uri)
    if member:
        offset, size, shard = int(member[1]), int(member[2]), member[3]
        return io.BytesIO(_read_range(shard, offset, size))
    path = local_path(uri)
    if path is not None:
        _check_regular(path)
        return path.open("rb")
    with remote_faults(uri):
        filesystem, remote = fsspec.core.url_to_fs(uri)
        return io.BufferedReader(_RemoteFile(uri, filesystem.open(remote, "rb")), buffer_size=_REMOTE_BUFFER)


class RemoteFaultError(OSError):
    """What a remote file system raised."""


@contextmanager
def remote_faults(uri: str) -> Iterator[None]:
    """Let whatever a remote file system raises be an `OSError`: each has a library of its own, with errors of its own.

    One without a number is a `RemoteFaultError`, so that it can be told from an error of who reads the bytes.

    Args:
        uri: for the message.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise
        raise RemoteFaultError(f"{uri}: {type(error).__name__}: {error}") from error


class _RemoteFile(io.RawIOBase):
    """A file of a remote file system that raises `OSError` alone."""

    def __init__(self, uri: str, file: BinaryIO) -> None:
        super().__init__()
        self._uri = uri
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        with remote_faults(self._uri):
            data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with remote_faults(self._uri):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


class NotRegularFileError(OSError):
    """A pipe or a device: opening it may wait for ever, and it gives its bytes once."""


def _check_regular(path: Path) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder the system itself says so
        raise NotRegularFileError(f"{path} is a pipe or a device; write what it gives to a file")


def sha256_hex(file: BinaryIO) -> str:
    """The sha256 of what is left to read of a file, hex, without holding it in memory."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def file_stamp(uri: str, *, with_change_time: bool) -> str | None:
    """Text that changes when the bytes behind a URI change, found without reading them.

    Size and modification time of a local file; size and ETag (or what the file system has like it) of a
    remote one.

    Args:
        uri: the file, or a member of one.
        with_change_time: include when the system last changed the file, which programs cannot set as they can the time
            of modification; a copy or a move makes it another.

    Returns:
        The stamp, or None when the file system tells nothing of the kind.

    Raises:
        OSError: not there.
    """
    member = _TAR_MEMBER.match(uri)
    uri = member[3] if member else uri
    path = local_path(uri)
    if path is not None:
        status = path.stat()
        stamp = f"{status.st_size}/{status.st_mtime_ns}"
        return f"{stamp}/{status.st_ctime_ns}" if with_change_time else stamp
    with remote_faults(uri):
        filesystem, remote = fsspec.core.url_to_fs(uri)
        facts = filesystem.info(remote)
    version = listed_version(facts)
    return None if version is None else f"{facts.get('size')}/{version}"


def listed_version(facts: Mapping[str, object]) -> str | None:
    """What a file system's listing says of a file's version (ETag, generation, time of change), if anything."""
    found = next((facts[key] for key in _VERSION_KEYS if facts.get(key)), None)
    return None if found is None else str(found)


def expand_paths(pattern: str) -> tuple[str, ...]:
    """The files that a path, a glob or a brace list names, sorted.

    Args:
        pattern: `pool.json`, `shards/*.tar`, `s3://bucket/part-{000..013}.tar` or `{a,b}.json`. A path that
            exists is taken as it is, whatever characters it has.

    Returns:
        The files. A name without wildcards is returned whether or not it exists; a glob may match none.

    Raises:
        ValueError: brace lists that name more files than a source can have.
        OSError: a remote file system fails.
    """
    path = local_path(pattern)
    if path is not None and path.exists():
        return (pattern,)
    named = prod(_choices_of(braces) for braces in _BRACES.findall(pattern))
    if named > _MOST_FILES:
        raise ValueError(f"its braces name {named:,} files, {_MOST_FILES:,} are the most")
    expanded: list[str] = []
    for name in _expand_braces(pattern):
        if not glob.has_magic(name):
            expanded.append(name)
        elif local_path(name) is not None:
            # Path.glob refuses absolute patterns
            expanded.extend(sorted(glob.glob(str(local_path(name)), recursive=True)))  # noqa: PTH207
        else:
            with remote_faults(name):
                filesystem, remote = fsspec.core.url_to_fs(name)
                expanded.extend(sorted(filesystem.unstrip_protocol(found) for found in filesystem.glob(remote)))
    return tuple(dict.fromkeys(expanded))


def join_root(root: str, image: str) -> str | None:
    """The URI of an image below its root, or None when its path leaves the root.

    Only the text is looked at here (`..`, absolute paths); symbolic links are `leaves_roots`' part.

    Args:
        root: folder or URL of a folder.
        image: path relative to the root, with `/` between its parts; an absolute path is accepted when it
            lies inside a local root.
    """
    base = local_path(root)
    if base is None and (image.startswith("/") or "::" in image):
        return None  # "::" would start a chain of file systems, and so name a file elsewhere
    relative = os.path.normpath(image)
    if base is not None and image.startswith("/"):
        relative = os.path.relpath(relative, os.path.normpath(base.absolute()))
    # A local root keeps its "./", so that no image name can pass for a URL or a tar member.
    prefix = root if "://" in root else os.path.normpath(root)
    if relative == ".." or relative.startswith("../"):
        return None
    return f"{prefix.rstrip('/')}/{relative}"


def leaves_roots(uri: str, roots: Sequence[str]) -> str | None:
    """Where a local path leads that is outside its roots once symbolic links are followed.

    Args:
        uri: the path.
        roots: its image root, and the further ones that links may lead to; one of them remote: all is inside.

    Returns:
        The real path; None where it is inside, and for remote URIs.
    """
    path, bases = local_path(uri), [local_path(root) for root in roots]
    if path is None:
        return None
    real = os.path.realpath(path)
    inside = any(base is None or Path(real).is_relative_to(os.path.realpath(base)) for base in bases)
    return None if inside else real


def link_advice(real: str, parameter: str) -> str:
    """What to do about an image whose link leads out of its roots.

    Args:
        real: where it leads.
        parameter: that lists what may be read.
    """
    return f"it leads to {real}; if that may be read, list its folder in {parameter}"


def _read_range(shard: str, offset: int, size: int) -> bytes:
    path = local_path(shard)
    if path is not None:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    else:
        with remote_faults(shard):
            filesystem, remote = fsspec.core.url_to_fs(shard)
            data = bytes(filesystem.cat_file(remote, start=offset, end=offset + size))
    if len(data) != size:
        raise EOFError(f"{shard} ends {size - len(data)} bytes before the end of the member at {offset}")
    return data


def _choices_of(braces: str) -> int:
    """How many names the text between two braces stands for."""
    numbers = _NUMBER_RANGE.match(braces)
    return max(0, int(numbers[2]) - int(numbers[1]) + 1) if numbers else braces.count(",") + 1


def _expand_braces(pattern: str) -> list[str]:
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    numbers = _NUMBER_RANGE.match(match[1])
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        choices = [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]
    elif "," in match[1]:
        choices = match[1].split(",")
    else:
        choices = [match[0]]  # braces around a single word are part of a name
    tails = _expand_braces(pattern[match.end() :])
    return [pattern[: match.start()] + choice + tail for choice in choices for tail in tails]
