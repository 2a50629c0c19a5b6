"""Sources of kind `parquet`: one row per record, with columns as LLaVA JSON has fields."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from components.parameters.parameters import SourceParameters
from components.pool.record_fields import parse_record
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError
from components.pool.snapshot import describe_record_files
from components.pool.source_file import open_source_file, source_files

_ROWS = 4096  # read at a time


def read_parquet(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read Parquet files: columns `image`, and where there are `id`, `conversations` and the task's field.

    Raises:
        SourceError: a file is missing, not Parquet, or has no column `image`.
    """
    for file in source_files(source):
        with open_source_file(file) as stream:
            try:
                for number, fields in enumerate(_rows(stream, file, source.task.field), start=1):
                    yield parse_record(fields, number=number, file=file, source=source)
            except (pa.ArrowInvalid, OSError) as error:
                raise SourceError(
                    f"source {file} is not a whole Parquet file ({error}); copy or write it again"
                ) from error


PARQUET = Reader(records=read_parquet, snapshot=describe_record_files, needs_image_root=True)


def _rows(stream: object, file: str, task_field: str | None) -> Iterator[dict[str, object]]:
    parquet = pq.ParquetFile(stream)
    present = parquet.schema_arrow.names
    if "image" not in present:
        raise SourceError(f"source {file} has no column 'image' with the path; its columns are {present}")
    kind = parquet.schema_arrow.field("image").type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise SourceError(
            f"source {file}: column 'image' must hold paths (text), it holds {kind}; write embedded images to "
            "files, or pack them as WebDataset shards"
        )
    wanted = [name for name in dict.fromkeys(("id", "image", task_field, "conversations")) if name in present]
    for batch in parquet.iter_batches(batch_size=_ROWS, columns=wanted):
        columns = {name: batch.column(name) for name in wanted}
        if "conversations" in columns:
            # Whether there is one is all that matters; the text stays where it is.
            columns["conversations"] = columns["conversations"].is_valid()
        yield from pa.table(columns).to_pylist()
