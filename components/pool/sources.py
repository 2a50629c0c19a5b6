"""The kinds of sources, and reading several of them as one pool."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from components.parameters.parameters import SourceParameters
from components.pool.image_folder import IMAGE_FOLDER
from components.pool.jsonl import JSONL
from components.pool.llava_json import LLAVA_JSON
from components.pool.locations import local_path
from components.pool.parquet import PARQUET
from components.pool.reasons import QuarantineReason
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError, is_broken_file, reject
from components.pool.snapshot import canonical
from components.pool.source_file import source_files
from components.pool.webdataset import WEBDATASET

# The values of `sources.kind`. A new format is a file with its Reader, and a line here.
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "llava_json": LLAVA_JSON,
        "image_folder": IMAGE_FOLDER,
        "parquet": PARQUET,
        "jsonl": JSONL,
        "webdataset": WEBDATASET,
    }
)


def snapshot_sources(sources: Sequence[SourceParameters]) -> str:
    """Describe what ingest would read.

    Returns:
        Canonical JSON.

    Raises:
        SourceError: a record file is missing, or a file or folder cannot be read.
    """
    described = []
    for source in sources:
        with _read_or_refused(source):
            described.append({"kind": source.kind, "path": source.path, **READERS[source.kind].snapshot(source)})
    return canonical(described)


def task_field_of_files(sources: Sequence[SourceParameters]) -> dict[str, str]:
    """The field that holds the task, by file, for the files of sources with such a rule.

    Returns:
        What `source` of a sample of theirs is -> the field.

    Raises:
        SourceError: the files of a source cannot be listed.
    """
    return {
        file: source.task.field for source in sources if source.task.field is not None for file in source_files(source)
    }


def read_pool(sources: Sequence[SourceParameters]) -> list[PoolRecord | RejectedRecord]:
    """Read the records of all sources, in the order of the sources.

    An id names one image per file and task: a record that repeats an id with the same image is a further
    record of that image (frequent in LLaVA-665K), with another image it is `duplicate_id`. The first record with
    usable fields has the id, whatever becomes of its image. Tasks are apart because mixtures repeat ids across
    data sets (LLaVA-665K's `gqa` and `vg` both use Visual Genome's numbers).

    Raises:
        SourceError: a source cannot be read as a whole, or has no records.
    """
    entries: list[PoolRecord | RejectedRecord] = []
    for source in sources:
        before = len(entries)
        with _read_or_refused(source):
            entries.extend(_without_repeated_ids(_read_source(source)))
        if len(entries) == before:
            raise SourceError(f"source {source.path} holds no records; take it out of sources or fill it")
        if all(map(is_broken_file, entries[before:])):
            broken = entries[before]
            assert isinstance(broken, RejectedRecord)
            raise SourceError(
                f"source {broken.source}: {broken.detail}; copy, download or write it again, or take it out of sources"
            )
    return entries


@contextmanager
def _read_or_refused(source: SourceParameters) -> Iterator[None]:
    """Name the source that a disk or a remote file system fails for, at its first file or its last."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"source {source.path}, image_root {source.image_root}: cannot be read ({error}); check addresses, "
            "credentials and rights"
        ) from error


def _read_source(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    reader, root = READERS[source.kind], local_path(source.image_root)
    if reader.needs_image_root and root is not None and not root.is_dir():
        raise SourceError(
            f"source {source.path}: image_root {source.image_root} is not a folder; correct sources.image_root"
        )
    return reader.records(source)


def _without_repeated_ids(
    records: Iterator[PoolRecord | RejectedRecord],
) -> Iterator[PoolRecord | RejectedRecord]:
    images: dict[tuple[str, str, str], str] = {}
    for record in records:
        if isinstance(record, RejectedRecord):
            yield record
            continue
        first = images.setdefault((record.source, record.task, record.record_id), record.uri)
        if first == record.uri:
            yield record
        else:
            detail = f"id {record.record_id!r} of task {record.task!r} names {first} already"
            yield reject(record, QuarantineReason.DUPLICATE_ID, detail)
