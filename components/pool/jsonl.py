"""Sources of kind `jsonl`: one JSON object per line."""

import json
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from components.parameters.parameters import SourceParameters
from components.pool.foreign_bytes import LONGEST_START, foreign_bytes
from components.pool.reasons import QuarantineReason
from components.pool.record_fields import parse_record
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError, broken_file
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files


def read_jsonl(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read JSON Lines files; blank lines are skipped, a broken line is one invalid record.

    A file that ends inside a line gives what comes before, and a rejected entry that says so; so does an empty one.

    Raises:
        SourceError: a file is missing, or no line of it is JSON.
    """
    for file in source_files(source):
        lines = broken = 0
        is_cut = False
        with open_source_file(file) as stream:
            if not _start(stream, file):
                yield broken_file(file, "no record can be read: the file is empty")
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                lines += 1
                try:
                    value: object = json.loads(line)
                except (ValueError, RecursionError) as error:
                    detail = f"line {number} is not JSON: {error}"
                    # Every whole line has an end; a last one without it that cannot be read was cut off.
                    is_cut = not line.endswith(b"\n")
                    if is_cut:
                        yield broken_file(file, f"{detail}; the file ends in it, after {lines - 1} records")
                    else:
                        broken += 1
                        yield RejectedRecord(file, f"#{number}", "", QuarantineReason.INVALID_RECORD, detail)
                else:
                    yield parse_record(value, number=number, file=file, source=source)
        if broken and broken + is_cut == lines:
            raise SourceError(
                f"source {file} is not JSON Lines: none of its {lines} lines is JSON; expected one object per "
                "line (a JSON list is kind llava_json)"
            )


def _start(stream: BinaryIO, file: str) -> bytes:
    start = stream.read(LONGEST_START)
    stream.seek(0)
    if foreign_bytes(start):
        raise SourceError(f"source {file} is not JSON Lines in UTF-8: it {foreign_bytes(start)}")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise SourceError(f"source {file} is a JSON list, not one object per line; use kind llava_json")
    return start


JSONL = Reader(records=read_jsonl, snapshot=partial(describe_record_files, read_jsonl), needs_image_root=True)
