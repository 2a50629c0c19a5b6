"""Where the records of annotation files are, without what they say."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import fsspec

from components.errors import UserError
from components.parameters.instructions import AnnotationFile
from components.pool.json_array import JsonArrayError, JsonBrokenError, decode_value, scan_json_array
from components.pool.locations import join_root, local_path, open_binary
from components.pool.record_names import CONVERSATION_FIELDS, NAME_FIELDS, name_record

_LOG = logging.getLogger(__name__)

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
        records: in it; the rest of a file that breaks off counts as one.
        usable: of them, those that name an image and have a conversation.
        faults: what is wrong with each record that cannot be read, and where the file breaks off.
    """

    path: str
    records: int
    usable: int
    faults: tuple[str, ...] = ()


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
        The index; records without a conversation are not annotations and not in it. Records that cannot be read are
        counted and left out by themselves; of a file that breaks off there is what comes before.

    Raises:
        AnnotationFileError: a file is missing, cannot be read, or has no record in a JSON array.
    """
    locations: dict[str, list[AnnotationLocation]] = {}
    counts = []
    for number, file in enumerate(files):
        records = usable = 0
        faults: list[str] = []
        try:
            with open_binary(file.path) as stream:
                for location in _records(stream.read, number, file, frozenset(task_fields)):
                    records += 1
                    if isinstance(location, str):
                        faults.append(location)
                    elif location is not None:
                        usable += location.is_usable
                        locations.setdefault(location.record_id, []).append(location)
        except FileNotFoundError:
            raise AnnotationFileError(f"no annotation file {file.path!r} (params: instructions.annotations)") from None
        except JsonArrayError as error:
            if not records or not isinstance(error, JsonBrokenError):
                raise AnnotationFileError(f"annotation file {file.path!r} {error}") from None
            records += 1
            faults.append(str(error))
        except (OSError, ValueError, ImportError) as error:
            raise AnnotationFileError(f"annotation file {file.path!r} cannot be read: {error}") from None
        if faults:
            _LOG.warning("annotation file %s: %d records cannot be read; it %s", file.path, len(faults), faults[-1])
        if faults and len(faults) == records:
            raise AnnotationFileError(f"annotation file {file.path!r} {faults[0]}")
        counts.append(AnnotationCount(file.path, records, usable, tuple(faults)))
    return AnnotationIndex(tuple(files), locations, tuple(counts))


def _records(
    read: Callable[[int], bytes], number: int, file: AnnotationFile, task_fields: frozenset[str]
) -> Iterator[AnnotationLocation | str | None]:
    """The file's records: None for those that are no annotation, what is wrong for those that cannot be read."""
    wanted = {*NAME_FIELDS, *CONVERSATION_FIELDS, *task_fields}
    for count, record in enumerate(scan_json_array(read, wanted=wanted), start=1):
        if not record.raw.startswith(b"{"):
            yield f"is not a list of records: at byte {record.offset} is {record.raw[:20]!r}"
            continue
        if record.fault:
            yield record.fault
            continue
        try:
            # Everything but what is said: an annotation of an image that was not chosen is not read.
            fields = {
                key: decode_value(raw, f"record {count}, field {key!r}")
                for key, raw in record.fields.items()
                if key not in CONVERSATION_FIELDS
            }
        except JsonArrayError as error:
            yield str(error)
            continue
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
