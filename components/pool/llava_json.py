"""Sources of kind `llava_json`: a JSON list of records, with or without conversations."""

from collections.abc import Iterator
from functools import partial

from components.parameters.parameters import SourceParameters
from components.pool.json_array import JsonArrayError, read_json_records
from components.pool.record_fields import parse_record
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files


def read_llava_json(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read LLaVA JSON files; the conversations are looked at only to tell whether there is one.

    Raises:
        SourceError: a file is missing, not JSON or cut off.
    """
    for file in source_files(source):
        try:
            with open_source_file(file) as stream:
                for number, value in enumerate(read_json_records(stream.read), start=1):
                    yield parse_record(value, number=number, file=file, source=source)
        except JsonArrayError as error:
            raise SourceError(
                f"source {file} {error}; expected a JSON list of records, [{{...}}, {{...}}] "
                "(for one object per line use kind jsonl)"
            ) from None


LLAVA_JSON = Reader(
    records=read_llava_json, snapshot=partial(describe_record_files, read_llava_json), needs_image_root=True
)
