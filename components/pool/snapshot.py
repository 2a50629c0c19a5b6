"""Snapshots: short texts that change when what a stage reads from outside the workspace may have changed."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import fsspec

from components.errors import UserError
from components.parameters.parameters import SourceParameters
from components.pool.locations import file_stamp, listed_version, local_path, open_binary, remote_faults, sha256_hex
from components.pool.records import PoolRecord, RejectedRecord, SourceError
from components.pool.source_file import open_source_file, source_files


class MissingInputFileError(UserError, FileNotFoundError):
    """A file that the parameters name is not there, or cannot be read."""


class MissingModelError(UserError, ValueError):
    """A model is neither a folder nor one of the Hub in a known version."""


def snapshot_files(paths: Iterable[str | Path]) -> str:
    """Describe files, and all files below folders, by their sha256.

    Returns:
        Canonical JSON, path -> sha256.

    Raises:
        MissingInputFileError: a path is missing; the message names it and the parameters that may.
    """
    digests: dict[str, str] = {}
    for path in map(str, paths):
        try:
            digests.update(_digests(path))
        except FileNotFoundError:
            raise MissingInputFileError(
                f"{path}: no such file; correct instructions.annotations or benchmark.sets (relative paths start at "
                "the project root; `make demo` draws data/demo)"
            ) from None
        except OSError as error:
            raise MissingInputFileError(f"{path} cannot be read: {error}") from error
    return canonical(digests)


def _digests(path: str) -> dict[str, str]:
    """Of a file, remote ones too, or of all files below a local folder."""
    local = local_path(path)
    if local is None or not local.is_dir():
        with open_binary(path) as stream:  # which opens no pipe
            return {path: sha256_hex(stream) if local is None else _sha256(local)}
    return {str(file): _sha256(file) for file in _files_below(local)}


def snapshot_model(model: str, revision: str | None) -> str:
    """Describe a model: a folder by the sha256 of its files, a Hugging Face id by its revision.

    Returns:
        Canonical JSON.

    Raises:
        MissingModelError: neither a folder that can be read nor a Hub id with a revision.
    """
    folder = Path(model)
    if folder.is_dir():
        try:
            files = {str(file.relative_to(folder)): _sha256(file) for file in _files_below(folder)}
        except OSError as error:
            raise MissingModelError(f"model {model!r} cannot be read: {error}; copy or download it again") from error
        return canonical({"model": model, "files": files})
    if revision is None:
        raise MissingModelError(
            f"model {model!r} is no folder here; correct the path, or give the revision (a commit hash) of the "
            "Hugging Face model, without which it may change between runs"
        )
    return canonical({"model": model, "revision": revision})


def describe_record_files(
    records: Callable[[SourceParameters], Iterable[PoolRecord | RejectedRecord]], source: SourceParameters
) -> dict[str, object]:
    """Record files by their sha256, and the folder of their images as `describe_folder` does.

    Of a folder that holds the project itself, such as `/` for absolute paths, the images that records name: the rest
    is not of the pool, may be a whole machine, and changes with every run.

    Args:
        records: reads the source.
        source: the source.

    Raises:
        SourceError: a record file is missing, or cannot be read where it has to be.
    """
    files = {file: _sha256_of_source(file) for file in source_files(source)}
    root = local_path(source.image_root)
    if root is None or not Path.cwd().resolve().is_relative_to(root.resolve()):
        return {"files": files, "images": describe_folder(source.image_root)}
    named = sorted({record.uri for record in records(source) if isinstance(record, PoolRecord)})
    return {"files": files, "images": _digest(source.image_root, [f"{uri}{_state(uri)}" for uri in named])}


def describe_shards(source: SourceParameters) -> dict[str, object]:
    """Files with the images inside, by size and modification time.

    Raises:
        SourceError: a file is missing.
    """
    return {"shards": {shard: _stamp(shard) for shard in source_files(source)}}


def describe_folder(folder: str) -> dict[str, object]:
    """A folder by path, size and modification time of every file below; their bytes are ingest's to hash."""
    return _digest(folder, _remote_lines(folder) if local_path(folder) is None else _local_lines(folder))


def _digest(folder: str, lines: Sequence[str]) -> dict[str, object]:
    digest = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape"))
    return {"path": folder, "count": len(lines), "digest": digest.hexdigest()}


def canonical(value: object) -> str:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _stamp(shard: str) -> str | None:
    try:
        return file_stamp(shard, with_change_time=False)
    except OSError as error:
        raise SourceError(f"source {shard}: cannot be read ({error}); correct sources.path") from error


def _local_lines(folder: str) -> list[str]:
    base = local_path(folder)
    assert base is not None
    return [f"{file.relative_to(base)}{_state(file)}" for file in _files_below(base)]


def _state(file: str | Path) -> str:
    try:
        status = Path(file).stat()
    except OSError:  # a link that leads nowhere or round in circles, a file that has just gone
        return "\0\0\n"
    return f"\0{status.st_size}\0{status.st_mtime_ns}\n"


def _remote_lines(folder: str) -> list[str]:
    with remote_faults(folder):
        filesystem, remote = fsspec.core.url_to_fs(folder)
        found: Mapping[str, Mapping[str, object]] = filesystem.find(remote, detail=True)
    return [f"{name}\0{facts.get('size')}\0{listed_version(facts)}\n" for name, facts in sorted(found.items())]


def _files_below(folder: Path) -> list[Path]:
    found = [Path(base, name) for base, _, names in os.walk(folder) for name in names]
    return sorted(found, key=str)


def _sha256_of_source(file: str) -> str:
    path = local_path(file)
    with open_source_file(file) as stream:
        return sha256_hex(stream) if path is None else _sha256(path)


def _sha256(file: Path) -> str:
    status = file.stat()
    return _sha256_of_version(str(file.absolute()), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256_of_version(file: str, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - they are the cache's key
    # A run takes the snapshot of a large model several times.
    with Path(file).open("rb") as stream:
        return sha256_hex(stream)
