"""Where the records of annotation files are, without what they say."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import fsspec

from components.errors import UserError
from components.parameters.instructions import AnnotationFile
from components.pool.json_array import JsonArrayError, decode_value, scan_json_array
from components.pool.locations import join_root, local_path, open_binary
from components.pool.record_names import CONVERSATION_FIELDS, NAME_FIELDS, name_record

_NOTHING = (None, b"null", b"[]", b'""')


class AnnotationFileError(UserError, ValueError):
    """An annotation file as a whole cannot be used."""


@dataclass(frozen=True, slots=True)
class AnnotationLocation:
    """Where one record with a conversation is.

    Attributes:
        file: number of the file in the parameters' list.
        offset: of the record, bytes from the start of the file.
        length: bytes.
        record_id: as `components.pool.record_names` finds it.
        uri: its image, joined with the file's image root; empty when it names none or leaves the root.
        fields: of the fields that a source's rule takes the task from, those that it has.
        is_usable: it names an image, and its conversation is not empty; what is said is not looked at.
    """

    file: int
    offset: int
    length: int
    record_id: str
    uri: str
    fields: Mapping[str, object]
    is_usable: bool


@dataclass(frozen=True, slots=True)
class AnnotationCount:
    """What one annotation file holds.

    Attributes:
        path: the file.
        records: in it.
        usable: of them, those that name an image and have a conversation.
    """

    path: str
    records: int
    usable: int


@dataclass(frozen=True, slots=True)
class AnnotationIndex:
    """The places of all conversations, by record id, in file order, and what each file holds."""

    files: tuple[AnnotationFile, ...]
    locations: dict[str, list[AnnotationLocation]]
    counts: tuple[AnnotationCount, ...]


def index_annotations(files: Sequence[AnnotationFile], *, task_fields: Collection[str] = ()) -> AnnotationIndex:
    """Pass over annotation files once; conversations are skipped unread.

    Args:
        files: LLaVA JSON files, local or fsspec URLs.
        task_fields: fields that a source's rule takes the task from.

    Returns:
        The index; records without a conversation are not annotations and not in it.

    Raises:
        AnnotationFileError: a file is missing, cannot be read, or is not a JSON array of objects.
    """
    locations: dict[str, list[AnnotationLocation]] = {}
    counts = []
    for number, file in enumerate(files):
        records = usable = 0
        try:
            with open_binary(file.path) as stream:
                for location in _records(stream.read, number, file, frozenset(task_fields)):
                    records += 1
                    if location is not None:
                        usable += location.is_usable
                        locations.setdefault(location.record_id, []).append(location)
        except FileNotFoundError:
            raise AnnotationFileError(f"no annotation file {file.path!r} (params: instructions.annotations)") from None
        except JsonArrayError as error:
            raise AnnotationFileError(f"annotation file {file.path!r} {error}") from None
        except (OSError, ValueError, ImportError) as error:
            raise AnnotationFileError(f"annotation file {file.path!r} cannot be read: {error}") from None
        counts.append(AnnotationCount(file.path, records, usable))
    return AnnotationIndex(tuple(files), locations, tuple(counts))


def _records(
    read: Callable[[int], bytes], number: int, file: AnnotationFile, task_fields: frozenset[str]
) -> Iterator[AnnotationLocation | None]:
    """The file's records, None for those that are no annotation."""
    wanted = {*NAME_FIELDS, *CONVERSATION_FIELDS, *task_fields}
    for count, record in enumerate(scan_json_array(read, wanted=wanted), start=1):
        if not record.raw.startswith(b"{"):
            raise JsonArrayError(f"is not a list of records: at byte {record.offset} is {record.raw[:20]!r}")
        # Everything but what is said: an annotation of an image that was not chosen is not read.
        fields = {
            key: decode_value(raw, f"record {count}, field {key!r}")
            for key, raw in record.fields.items()
            if key not in CONVERSATION_FIELDS
        }
        names = name_record(fields, count)
        if record.fields.keys().isdisjoint(CONVERSATION_FIELDS):
            yield None
            continue
        yield AnnotationLocation(
            file=number,
            offset=record.offset,
            length=len(record.raw),
            record_id=names.record_id,
            uri=_image_uri(file.image_root, names.image),
            fields={key: fields[key] for key in task_fields if key in fields},
            is_usable=not names.fault and any(record.fields.get(key) not in _NOTHING for key in CONVERSATION_FIELDS),
        )


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
