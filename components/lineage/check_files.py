"""Whether two folders hold the same files."""

from collections.abc import Iterable

from components.lineage.content_hash import ListedFile
from components.lineage.mismatch import LOST, Mismatch


def compare_files(check: str, expected: Iterable[ListedFile], found: Iterable[ListedFile]) -> list[Mismatch]:
    """Hold the files of two folders against each other by path and content.

    Args:
        check: name of the check.
        expected: files as they are to be.
        found: files as they are.
    """
    should, is_there = ({one.path: one.md5 for one in files} for files in (expected, found))
    return [
        Mismatch(check, path, should.get(path, LOST), is_there.get(path, LOST))
        for path in sorted(should.keys() | is_there.keys())
        if should.get(path) != is_there.get(path)
    ]
