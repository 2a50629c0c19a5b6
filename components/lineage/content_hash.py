"""The hashes by which DVC names files and folders (md5; a folder by the JSON listing of its files)."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from components.lineage.lock_file import LineageError, inner_path
from components.storage import PARTIAL

FOLDER_SUFFIX = ".dir"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a folder: its path in it, and its content's md5."""

    path: str
    md5: str


def file_hash(file: Path) -> str:
    """md5 of a file's bytes, hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_listing(folder: Path) -> tuple[ListedFile, ...]:
    """Every file of a folder by path, unfinished ones left out."""
    files = sorted(
        (file.relative_to(folder).as_posix(), file)
        for file in folder.rglob("*")
        if file.is_file() and not any(part.endswith(PARTIAL) for part in file.relative_to(folder).parts)
    )
    return tuple(ListedFile(path, file_hash(file)) for path, file in files)


def listing_hash(listing: tuple[ListedFile, ...]) -> str:
    """The name that DVC gives a folder with these files."""
    rows = [{"md5": one.md5, "relpath": one.path} for one in sorted(listing, key=lambda one: one.path)]
    text = json.dumps(rows, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + FOLDER_SUFFIX


def read_listing(file: Path) -> tuple[ListedFile, ...]:
    """Read the listing of a folder from DVC's cache.

    Raises:
        LineageError: it is no such listing, or a path in it leads out of the folder.
    """
    try:
        rows = json.loads(file.read_bytes())
        listed = tuple(ListedFile(str(row["relpath"]), str(row["md5"])) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise LineageError(f"{file} is not the listing of a folder ({error}); restore it from the DVC remote") from None
    for one in listed:
        if not one.path:
            raise LineageError(f"{file} lists a file without a path; restore it from the DVC remote")
        inner_path(one.path, f"{file}: the listed path")
    return listed
