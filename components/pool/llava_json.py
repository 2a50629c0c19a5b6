"""Sources of kind `llava_json`: a JSON list of records, with or without conversations."""

from collections.abc import Iterator

from components.parameters.parameters import SourceParameters
from components.pool.json_array import iterate_json_array
from components.pool.record_fields import parse_record
from components.pool.records import PoolRecord, Reader, RejectedRecord
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files


def read_llava_json(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read LLaVA JSON files; the conversations are looked at only to tell whether there is one.

    Raises:
        SourceError: a file is missing, not JSON or cut off.
    """
    for file in source_files(source):
        with open_source_file(file) as stream:
            for number, value in enumerate(iterate_json_array(stream, name=file), start=1):
                yield parse_record(value, number=number, file=file, source=source)


LLAVA_JSON = Reader(records=read_llava_json, snapshot=describe_record_files, needs_image_root=True)
