"""Damaged objects of the DVC cache: DVC takes a read-only file at its name, and never reads it again."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
_DIRECTORY = ".dir"


def remove_damaged(output: Any) -> int:
    """Hash the cached objects of a stage's output and remove those whose content is not what their name says.

    Args:
        output: DVC's output; its `hash_info` names the version.

    Returns:
        Objects removed; DVC then finds them missing and fetches them again.
    """
    cache, name = output.cache, str(output.hash_info.value)
    removed = _remove_if_damaged(Path(cache.oid_to_path(name)), name)
    listing = Path(cache.oid_to_path(name))
    if name.endswith(_DIRECTORY) and listing.is_file():
        for md5 in sorted({entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8"))}):
            removed += _remove_if_damaged(Path(cache.oid_to_path(md5)), md5)
    if removed:
        logger.warning("%d objects of %s in the DVC cache were damaged; they are removed", removed, output)
    return removed


def _remove_if_damaged(path: Path, name: str) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        if hashlib.file_digest(file, "md5").hexdigest() == name.removesuffix(_DIRECTORY):
            return 0
    path.unlink()
    return 1
