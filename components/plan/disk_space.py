"""Whether the file systems that a run writes to have room for what it is sure to write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.text import bytes_in_words


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Where a folder lies.

    Attributes:
        number: the same for all folders of a file system, which are equal by it alone.
        free: bytes that may be written, when it was asked; None: it does not say.
    """

    number: int
    free: int | None = field(compare=False)  # others write meanwhile


def too_little_space(needs: Mapping[Path, int], locate: Callable[[Path], FileSystem]) -> str:
    """Hold what is needed against what is free; folders of one file system share it.

    Args:
        needs: bytes that will be written at least, by folder.
        locate: finds the file system of a folder.

    Returns:
        The first file system without room for it, in words; "" when all have.
    """
    folders: dict[FileSystem, list[Path]] = {}
    for folder, need in needs.items():
        if need:
            folders.setdefault(locate(folder), []).append(folder)
    for system, together in folders.items():
        need = sum(needs[folder] for folder in together)
        if system.free is not None and need > system.free:
            named = " and ".join(map(str, together))
            return (
                f"what the stages that would run write to {named} takes {bytes_in_words(need)} at least, and "
                f"{bytes_in_words(system.free)} are free there"
            )
    return ""
