"""Sources of kind `llava_json`: a JSON list of records, with or without conversations."""

from collections.abc import Iterator
from functools import partial

from components.parameters.parameters import SourceParameters
from components.pool.json_array import JsonArrayError, JsonBrokenError, JsonFault, salvage_json_records
from components.pool.reasons import QuarantineReason
from components.pool.record_fields import parse_record
from components.pool.record_names import printable
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError, broken_file
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files


def read_llava_json(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read LLaVA JSON files; the conversations are looked at only to tell whether there is one.

    A record that is not JSON is left out by itself. A list that ends early or is damaged gives what comes before, and
    a rejected entry that says where it broke.

    Raises:
        SourceError: a file is missing, no JSON list, or has a comma before the list's end.
    """
    for file in source_files(source):
        try:
            with open_source_file(file) as stream:
                for number, value in enumerate(salvage_json_records(stream.read), start=1):
                    if not isinstance(value, JsonFault):
                        yield parse_record(value, number=number, file=file, source=source)
                    elif value.is_the_rest:
                        yield broken_file(file, f"the list breaks off after {number - 1} records: it {value.detail}")
                    else:
                        detail = printable(value.detail)
                        yield RejectedRecord(file, f"#{number}", "", QuarantineReason.INVALID_RECORD, detail)
        except JsonBrokenError as error:
            yield broken_file(file, f"no record can be read: the list {error}")
        except JsonArrayError as error:
            raise SourceError(
                f"source {file} {error}; expected a JSON list of records, [{{...}}, {{...}}] "
                "(for one object per line use kind jsonl)"
            ) from None


LLAVA_JSON = Reader(
    records=read_llava_json, snapshot=partial(describe_record_files, read_llava_json), needs_image_root=True
)
