"""The kinds of sources, and reading several of them as one pool."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from components.parameters.parameters import SourceParameters
from components.pool.image_folder import read_image_folder
from components.pool.jsonl import read_jsonl
from components.pool.llava_json import read_llava_json
from components.pool.locations import local_path
from components.pool.parquet import read_parquet
from components.pool.reasons import QuarantineReason
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError, reject
from components.pool.webdataset import read_webdataset

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "llava_json": read_llava_json,
        "image_folder": read_image_folder,
        "parquet": read_parquet,
        "jsonl": read_jsonl,
        "webdataset": read_webdataset,
    }
)


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
        entries.extend(_without_repeated_ids(_read_source(source)))
        if len(entries) == before:
            raise SourceError(f"source {source.path} holds no records; take it out of sources or fill it")
    return entries


def _read_source(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    root = local_path(source.image_root)
    if source.kind != "webdataset" and root is not None and not root.is_dir():
        raise SourceError(
            f"source {source.path}: image_root {source.image_root} is not a folder; correct sources.image_root"
        )
    return READERS[source.kind](source)


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
