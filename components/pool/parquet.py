"""Sources of kind `parquet`: one row per record, with columns as LLaVA JSON has fields."""

from collections.abc import Iterator
from functools import partial
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from components.parameters.parameters import SourceParameters
from components.pool.foreign_bytes import LONGEST_START, foreign_bytes
from components.pool.reasons import QuarantineReason
from components.pool.record_fields import parse_record
from components.pool.record_names import CONVERSATION_FIELDS, NAME_FIELDS
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError, broken_file
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files

_ROWS = 4096  # read at a time
_MAGIC = b"PAR1"  # a file begins with it
# Of text that is not UTF-8, a date after the year 9999, a time zone that is none, fields of one name.
_NO_VALUE = (ValueError, OverflowError, KeyError)


def read_parquet(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read Parquet files: columns `image` or `images`, and where there are `id`, a conversation and the task's field.

    A file that ends early or is damaged gives the rows that can be read before, none where its last bytes, which say
    where the rows are, are gone; and a rejected entry that says so. A row with a value that Python cannot hold
    (text that is not UTF-8, a date after the year 9999) is left out by itself.

    Raises:
        SourceError: a file is missing, not Parquet, has no column with image paths, or a column twice.
    """
    for file in source_files(source):
        number = 0
        with open_source_file(file) as stream:
            try:
                for number, fields in enumerate(_rows(stream, file, source.task.field), start=1):
                    if isinstance(fields, _NO_VALUE):
                        detail = f"row {number} cannot be read ({type(fields).__name__}: {fields})"
                        yield RejectedRecord(file, f"#{number}", "", QuarantineReason.INVALID_RECORD, detail)
                    else:
                        yield parse_record(fields, number=number, file=file, source=source)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: of a column's name
                # Arrow's own errors about the bytes have no number and no kind.
                if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
                    raise
                stream.seek(0)
                start = stream.read(LONGEST_START)
                if not number and start[: len(_MAGIC)] != _MAGIC[: len(start)]:
                    advice = foreign_bytes(start) or "is something else; correct sources.path or kind"
                    raise SourceError(f"source {file} is not a Parquet file: it {advice}") from error
                said = " ".join(str(error).split())
                yield broken_file(file, f"it is not a whole Parquet file and breaks off after {number} rows ({said})")


PARQUET = Reader(records=read_parquet, snapshot=partial(describe_record_files, read_parquet), needs_image_root=True)


def _rows(stream: object, file: str, task_field: str | None) -> Iterator[dict[str, object] | Exception]:
    parquet = pq.ParquetFile(stream)
    present = parquet.schema_arrow.names
    wanted = [name for name in dict.fromkeys((*NAME_FIELDS, task_field, *CONVERSATION_FIELDS)) if name in present]
    twice = [name for name in wanted if present.count(name) > 1]
    if twice:
        raise SourceError(
            f"source {file} has {present.count(twice[0])} columns {twice[0]!r}; rename or drop all but one"
        )
    images = [name for name in ("image", "images") if name in present]
    if not images:
        raise SourceError(f"source {file} has no column 'image' with the path; its columns are {present}")
    for name in images:
        _check_holds_paths(name, parquet.schema_arrow.field(name).type, file)
    # Group by group: a batch over several would be lost with what is damaged in the last of them.
    groups = range(parquet.num_row_groups)
    for batch in chain.from_iterable(
        parquet.iter_batches(batch_size=_ROWS, row_groups=[group], columns=wanted) for group in groups
    ):
        columns = {name: batch.column(name) for name in wanted}
        for name in CONVERSATION_FIELDS:
            if name in columns:
                # Whether there is one is all that matters; the text stays where it is.
                columns[name] = columns[name].is_valid()
        yield from _values(pa.table(columns))


def _values(rows: pa.Table) -> Iterator[dict[str, object] | Exception]:
    try:
        yield from rows.to_pylist()
    except _NO_VALUE as error:
        if rows.num_rows == 1:
            yield error
        else:
            half = rows.num_rows // 2
            yield from _values(rows.slice(0, half))
            yield from _values(rows.slice(half))


def _check_holds_paths(name: str, kind: pa.DataType, file: str) -> None:
    one = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    if pa.types.is_nested(one) or pa.types.is_binary(one) or pa.types.is_large_binary(one):
        raise SourceError(
            f"source {file}: column {name!r} must hold paths (text), it holds {kind}; write embedded images to "
            "files, or pack them as WebDataset shards"
        )
