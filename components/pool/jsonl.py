"""Sources of kind `jsonl`: one JSON object per line."""

import json
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from components.parameters.parameters import SourceParameters
from components.pool.foreign_bytes import LONGEST_START, foreign_bytes
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
            _check_start(stream, file)
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                lines += 1
                try:
                    value: object = json.loads(line)
                except (ValueError, RecursionError) as error:
                    broken += 1
                    # Every whole line has an end; a last one without it that cannot be read was cut off.
                    cut = "" if line.endswith(b"\n") else f"; the file ends in it, after {lines - 1} records"
                    detail = f"line {number} is not JSON: {error}{cut}"
                    yield RejectedRecord(file, f"#{number}", "", QuarantineReason.INVALID_RECORD, detail)
                else:
                    yield parse_record(value, number=number, file=file, source=source)
        if lines and broken == lines:
            raise SourceError(
                f"source {file} is not JSON Lines: none of its {lines} lines is JSON; expected one object per "
                "line (a JSON list is kind llava_json)"
            )


def _check_start(stream: BinaryIO, file: str) -> None:
    start = stream.read(LONGEST_START)
    stream.seek(0)
    if foreign_bytes(start):
        raise SourceError(f"source {file} is not JSON Lines in UTF-8: it {foreign_bytes(start)}")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise SourceError(f"source {file} is a JSON list, not one object per line; use kind llava_json")


JSONL = Reader(records=read_jsonl, snapshot=partial(describe_record_files, read_jsonl), needs_image_root=True)
