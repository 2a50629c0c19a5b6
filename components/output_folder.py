"""The folder that a command writes what it makes for others into: new, empty, or one that may be written over."""

from pathlib import Path

from components.errors import UserError


class OutputFolderError(UserError, ValueError):
    """The folder cannot be written into as asked; nothing was written."""


def check_output_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder whose files somebody may want to keep.

    Args:
        folder: to write.
        overwrite: files that it holds may be replaced.

    Raises:
        OutputFolderError: it is a file, or holds something and `overwrite` is not said.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputFolderError(f"{folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputFolderError(f"{folder} is not empty; name another folder or say --overwrite")
