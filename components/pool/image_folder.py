"""Sources of kind `image_folder`: every file below a folder is a record."""

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

import fsspec

from components.parameters.parameters import SourceParameters
from components.pool.clutter import is_clutter
from components.pool.locations import join_root, local_path, remote_faults
from components.pool.reasons import QuarantineReason
from components.pool.record_names import printable, text_fault
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError
from components.pool.snapshot import describe_folder
from components.pool.task_rule import NoTaskError, derive_task


def read_image_folder(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """List a folder, sorted by path; the id of a record is its path below `image_root`.

    Files that are no images are records too, and end in the quarantine; those that macOS and Windows leave behind are
    not. Linked folders are not entered.

    Raises:
        SourceError: no such folder, it is outside `image_root`, or it cannot be listed.
    """
    try:
        listed = _list_local(source) if local_path(source.path) is not None else _list_remote(source)
    except (OSError, ValueError) as error:
        raise SourceError(f"source {source.path}: cannot be listed ({error}); correct sources.path") from error
    for image, is_link_to_folder in sorted(listed):
        if is_link_to_folder:
            detail = f"{printable(image)} is a link to a folder, which is not entered"
            yield _rejected(source, image, QuarantineReason.NOT_A_FILE, detail)
        else:
            yield _record(source, image)


IMAGE_FOLDER = Reader(
    records=read_image_folder, snapshot=lambda source: {"images": describe_folder(source.path)}, needs_image_root=True
)


def _record(source: SourceParameters, image: str) -> PoolRecord | RejectedRecord:
    fault = text_fault(image)
    if fault:
        return _rejected(source, image, QuarantineReason.INVALID_RECORD, f"the file name {fault}")
    try:
        task = derive_task(source.task, fields={}, path=image)
    except NoTaskError as error:
        return _rejected(source, image, QuarantineReason.INVALID_RECORD, str(error))
    uri = join_root(source.image_root, image)
    assert uri is not None  # listed below the root
    return PoolRecord(source.path, image, image, task, uri, source.image_root, source.further_roots)


def _rejected(source: SourceParameters, image: str, reason: QuarantineReason, detail: str) -> RejectedRecord:
    return RejectedRecord(source.path, printable(image), printable(image), reason, detail)


def _list_local(source: SourceParameters) -> list[tuple[str, bool]]:
    folder, root = local_path(source.path), local_path(source.image_root)
    if folder is None or root is None:
        raise ValueError(f"image_root {source.image_root} must be local like path")
    if not folder.is_dir():
        raise NotADirectoryError("no such folder")
    below = os.path.relpath(folder, root)
    if below == ".." or below.startswith("../"):
        raise ValueError(f"it is not inside image_root {source.image_root}")
    listed: list[tuple[str, bool]] = []
    for base, folders, files in os.walk(folder, onerror=_fail):
        prefix = os.path.relpath(base, root)
        prefix = "" if prefix == "." else f"{prefix}/"
        links = [name for name in folders if Path(base, name).is_symlink()]
        listed.extend((f"{prefix}{name}", True) for name in links)
        listed.extend((f"{prefix}{name}", False) for name in files)
    return [(image, is_link) for image, is_link in listed if not is_clutter(image)]


def _list_remote(source: SourceParameters) -> list[tuple[str, bool]]:
    with remote_faults(source.path):
        filesystem, folder = fsspec.core.url_to_fs(source.path)
        root = fsspec.core.url_to_fs(source.image_root)[1].rstrip("/")
        if not filesystem.isdir(folder):
            raise NotADirectoryError("no such folder")
        found = filesystem.find(folder)
    if any(not name.startswith(f"{root}/") for name in found):
        raise ValueError(f"it is not inside image_root {source.image_root}")
    images = [posixpath.relpath(name, root or "/") for name in found]
    return [(image, False) for image in images if not is_clutter(image)]


def _fail(error: OSError) -> None:
    raise error
