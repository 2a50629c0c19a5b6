"""Sources of kind `jsonl`: one JSON object per line."""

import json
from collections.abc import Iterator

from components.parameters.parameters import SourceParameters
from components.pool.reasons import QuarantineReason
from components.pool.record_fields import parse_record
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files


def read_jsonl(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read JSON Lines files; blank lines are skipped, a broken line is one invalid record.

    Raises:
        SourceError: a file is missing, or no line of it is JSON.
    """
    for file in source_files(source):
        lines = broken = 0
        with open_source_file(file) as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                lines += 1
                try:
                    value: object = json.loads(line)
                except (ValueError, RecursionError) as error:
                    broken += 1
                    detail = f"line {number} is not JSON: {error}"
                    yield RejectedRecord(file, f"#{number}", "", QuarantineReason.INVALID_RECORD, detail)
                else:
                    yield parse_record(value, number=number, file=file, source=source)
        if lines and broken == lines:
            raise SourceError(
                f"source {file} is not JSON Lines: none of its {lines} lines is JSON; expected one object per "
                "line (a JSON list is kind llava_json)"
            )


JSONL = Reader(records=read_jsonl, snapshot=describe_record_files, needs_image_root=True)
