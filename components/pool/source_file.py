"""Finding and opening the files of a source, with errors that name the file and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from components.parameters.parameters import SourceParameters
from components.pool.locations import expand_paths, local_path, open_binary
from components.pool.records import SourceError


def source_files(source: SourceParameters) -> tuple[str, ...]:
    """The files that a source's path, glob or brace list names.

    Raises:
        SourceError: it names none.
    """
    try:
        files = expand_paths(source.path)
    except (OSError, ValueError) as error:
        raise SourceError(f"source {source.path}: cannot be listed ({error}); check the address") from error
    if not files:
        raise SourceError(f"source {source.path}: no file matches; check the pattern (sources.path)")
    return files


@contextmanager
def open_source_file(file: str) -> Iterator[BinaryIO]:
    """Open one file of a source, for the block in which it is read.

    Raises:
        SourceError: it is not there or not readable; in the block also, when a disk or network fails meanwhile.
    """
    with _open(file) as stream:
        try:
            yield stream
        except OSError as error:
            raise SourceError(f"source {file}: cannot be read ({' '.join(str(error).split())}); run again") from error


def _open(file: str) -> BinaryIO:
    try:
        return open_binary(file)
    except FileNotFoundError:
        hint = "" if local_path(file) is None else "; relative paths start at the project root"
        raise SourceError(f"source {file}: no such file; correct sources.path{hint}") from None
    except IsADirectoryError:
        raise SourceError(f"source {file} is a folder; name its record file, or use kind image_folder") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"source {file}: cannot be opened ({error}); check the address and rights") from error
