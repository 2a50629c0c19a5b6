"""Sources of kind `parquet`: one row per record, with columns as LLaVA JSON has fields."""

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from components.parameters.parameters import SourceParameters
from components.pool.foreign_bytes import LONGEST_START, foreign_bytes
from components.pool.record_fields import parse_record
from components.pool.record_names import CONVERSATION_FIELDS, NAME_FIELDS
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files

_ROWS = 4096  # read at a time


def read_parquet(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read Parquet files: columns `image` or `images`, and where there are `id`, a conversation and the task's field.

    Raises:
        SourceError: a file is missing, not Parquet, has no column with image paths, or a column twice.
    """
    for file in source_files(source):
        with open_source_file(file) as stream:
            try:
                for number, fields in enumerate(_rows(stream, file, source.task.field), start=1):
                    yield parse_record(fields, number=number, file=file, source=source)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                stream.seek(0)
                foreign = foreign_bytes(stream.read(LONGEST_START))
                advice = f"it {foreign}" if foreign else "copy or write it again"
                raise SourceError(f"source {file} is not a whole Parquet file ({error}); {advice}") from error


PARQUET = Reader(records=read_parquet, snapshot=partial(describe_record_files, read_parquet), needs_image_root=True)


def _rows(stream: object, file: str, task_field: str | None) -> Iterator[dict[str, object]]:
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
    for batch in parquet.iter_batches(batch_size=_ROWS, columns=wanted):
        columns = {name: batch.column(name) for name in wanted}
        for name in CONVERSATION_FIELDS:
            if name in columns:
                # Whether there is one is all that matters; the text stays where it is.
                columns[name] = columns[name].is_valid()
        yield from pa.table(columns).to_pylist()


def _check_holds_paths(name: str, kind: pa.DataType, file: str) -> None:
    one = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    if pa.types.is_nested(one) or pa.types.is_binary(one) or pa.types.is_large_binary(one):
        raise SourceError(
            f"source {file}: column {name!r} must hold paths (text), it holds {kind}; write embedded images to "
            "files, or pack them as WebDataset shards"
        )
