"""Where the records of annotation files are, without what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

import fsspec

from components.errors import UserError
from components.parameters.instructions import AnnotationFile
from components.pool.json_array import JsonArrayError, scan_json_array
from components.pool.locations import join_root, local_path, open_binary

_INDEXED_KEYS = frozenset({"id", "image", "task", "conversations"})


class AnnotationFileError(UserError, ValueError):
    """An annotation file as a whole cannot be used."""


@dataclass(frozen=True, slots=True)
class AnnotationLocation:
    """Where one record with a conversation is.

    Attributes:
        file: number of the file in the parameters' list.
        offset: of the record, bytes from the start of the file.
        length: bytes.
        record_id: its `id`.
        uri: its image, joined with the file's image root; empty when it names none or leaves the root.
        task: its `task`; None when it has none.
    """

    file: int
    offset: int
    length: int
    record_id: str
    uri: str
    task: str | None


@dataclass(frozen=True, slots=True)
class AnnotationIndex:
    """The places of all conversations, by record id, in file order."""

    files: tuple[AnnotationFile, ...]
    locations: dict[str, list[AnnotationLocation]]


def index_annotations(files: Sequence[AnnotationFile]) -> AnnotationIndex:
    """Pass over annotation files once; conversations are skipped unread.

    Args:
        files: LLaVA JSON files, local or fsspec URLs.

    Returns:
        The index; records without `conversations` are not annotations and not in it.

    Raises:
        AnnotationFileError: a file is missing or is not a JSON array of objects.
    """
    locations: dict[str, list[AnnotationLocation]] = {}
    for number, file in enumerate(files):
        try:
            with open_binary(file.path) as stream:
                for record in scan_json_array(stream.read, wanted=_INDEXED_KEYS):
                    if not record.raw.startswith(b"{"):
                        raise JsonArrayError(
                            f"is not a list of records: at byte {record.offset} is {record.raw[:20]!r}"
                        )
                    if "conversations" not in record.fields or not record.fields.get("id"):
                        continue
                    location = AnnotationLocation(
                        file=number,
                        offset=record.offset,
                        length=len(record.raw),
                        record_id=record.fields["id"],
                        uri=_image_uri(file.image_root, record.fields.get("image", "")),
                        task=record.fields.get("task"),
                    )
                    locations.setdefault(location.record_id, []).append(location)
        except FileNotFoundError:
            raise AnnotationFileError(f"no annotation file {file.path!r} (params: instructions.annotations)") from None
        except JsonArrayError as error:
            raise AnnotationFileError(f"annotation file {file.path!r} {error}") from None
    return AnnotationIndex(tuple(files), locations)


def read_annotations(index: AnnotationIndex, locations: Sequence[AnnotationLocation]) -> list[bytes]:
    """Read the bytes of some records and nothing else.

    Returns:
        One JSON object per location, in the given order.

    Raises:
        AnnotationFileError: the file is gone, or is shorter than when it was indexed.
    """
    records: list[bytes] = [b""] * len(locations)
    for number, file in enumerate(index.files):
        places = [place for place, location in enumerate(locations) if location.file == number]
        if not places:
            continue
        ranges = [(locations[place].offset, locations[place].length) for place in places]
        for place, raw in zip(places, _read_ranges(file.path, ranges), strict=True):
            if len(raw) != locations[place].length or raw[:1] != b"{" or raw[-1:] != b"}":
                raise AnnotationFileError(
                    f"annotation file {file.path!r} changed while it was being read: no record "
                    f"{locations[place].record_id!r} at byte {locations[place].offset} any more; run again"
                )
            records[place] = raw
    return records


def _image_uri(image_root: str, image: str) -> str:
    return (join_root(image_root, image) or "") if image else ""


def _read_ranges(uri: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    path = local_path(uri)
    if path is None:
        file_system, remote = fsspec.core.url_to_fs(uri)
        starts = [offset for offset, _ in ranges]
        ends = [offset + length for offset, length in ranges]
        return list(file_system.cat_ranges([remote] * len(ranges), starts, ends, on_error="raise"))
    found: list[bytes] = []
    # Unbuffered: a buffered file would read the neighbours of a record with it.
    with path.open("rb", buffering=0) as file:
        for offset, length in ranges:
            file.seek(offset)
            found.append(file.read(length))
    return found
