"""Snapshots: short texts that change when what a stage reads from outside the workspace may have changed."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import fsspec

from components.errors import UserError
from components.parameters.parameters import SourceParameters
from components.pool.locations import file_stamp, listed_version, local_path, sha256_hex
from components.pool.records import SourceError
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
    for path in map(Path, paths):
        if path.is_dir() or path.is_file():
            files = _files_below(path) if path.is_dir() else [path]
            try:
                digests.update({str(file): _sha256(file) for file in files})
            except OSError as error:
                raise MissingInputFileError(f"{path} cannot be read: {error}") from error
        else:
            raise MissingInputFileError(
                f"{path}: no such file; correct instructions.annotations or benchmark.sets (relative paths start at "
                "the project root; `make demo` draws data/demo)"
            )
    return canonical(digests)


def snapshot_model(model: str, revision: str | None) -> str:
    """Describe a model: a folder by the sha256 of its files, a Hugging Face id by its revision.

    Returns:
        Canonical JSON.

    Raises:
        MissingModelError: neither a folder nor a Hub id with a revision.
    """
    folder = Path(model)
    if folder.is_dir():
        files = {str(file.relative_to(folder)): _sha256(file) for file in _files_below(folder)}
        return canonical({"model": model, "files": files})
    if revision is None:
        raise MissingModelError(
            f"model {model!r} is no folder here; correct the path, or give the revision (a commit hash) of the "
            "Hugging Face model, without which it may change between runs"
        )
    return canonical({"model": model, "revision": revision})


def describe_record_files(source: SourceParameters) -> dict[str, object]:
    """Record files by their sha256, and the folder of their images as `describe_folder` does.

    Raises:
        SourceError: a record file is missing.
    """
    files = {file: _sha256_of_source(file) for file in source_files(source)}
    return {"files": files, "images": describe_folder(source.image_root)}


def describe_shards(source: SourceParameters) -> dict[str, object]:
    """Files with the images inside, by size and modification time.

    Raises:
        SourceError: a file is missing.
    """
    return {"shards": {shard: _stamp(shard) for shard in source_files(source)}}


def describe_folder(folder: str) -> dict[str, object]:
    """A folder by path, size and modification time of every file below; their bytes are ingest's to hash."""
    digest = hashlib.sha256()
    count = 0
    for line in _remote_lines(folder) if local_path(folder) is None else _local_lines(folder):
        digest.update(line.encode("utf-8", "surrogateescape"))
        count += 1
    return {"path": folder, "count": count, "digest": digest.hexdigest()}


def canonical(value: object) -> str:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _stamp(shard: str) -> str | None:
    try:
        return file_stamp(shard)
    except OSError as error:
        raise SourceError(f"source {shard}: cannot be read ({error}); correct sources.path") from error


def _local_lines(folder: str) -> list[str]:
    base = local_path(folder)
    assert base is not None
    lines = []
    for file in _files_below(base):
        status = file.stat() if file.exists() else file.lstat()  # a link that leads nowhere
        lines.append(f"{file.relative_to(base)}\0{status.st_size}\0{status.st_mtime_ns}\n")
    return lines


def _remote_lines(folder: str) -> list[str]:
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
