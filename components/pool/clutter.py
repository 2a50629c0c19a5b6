"""Names in archives and folders: normalised, and those of what operating systems leave behind, which are no records."""

import posixpath

_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


def normal_name(name: str) -> str:
    """A member's name as a path below its archive: no `./`, no leading `/`, no `..`."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def is_clutter(path: str) -> bool:
    """Whether a file is what macOS (`._*` beside every file, `__MACOSX`, `.DS_Store`) or Windows left there."""
    *folders, file = path.split("/")
    return file.startswith("._") or file.lower() in _FILES or "__MACOSX" in folders
