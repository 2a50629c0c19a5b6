"""The LanceDB table of sample features; a database belongs to one model and one way to compute."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.errors import UserError
from components.models.lance import open_tables, primary_key, remove_unborn

if TYPE_CHECKING:
    import lancedb

TABLE_NAME = "features"
_BYTES_PER_BLOCK = 2**28  # of vectors read at a time; bounds memory beside the result


class MissingFeaturesError(UserError, ValueError):
    """Features were asked for that have not been computed."""


def append_features(
    directory: Path,
    sample_ids: Sequence[str],
    vectors: NDArray[np.float32],
    *,
    norms: NDArray[np.float64] | None = None,
) -> None:
    """Add features durably, in one commit. Call it with many rows at a time: every call adds a fragment.

    Args:
        directory: the LanceDB database; made when it does not exist.
        sample_ids: `n` samples that have no features yet.
        vectors: `(n, d)` float32, finite.
        norms: `(n,)` float64, gradient norms before the projection; None for features without one.
    """
    width = vectors.shape[1]
    columns = [
        pa.array(sample_ids, pa.string()),
        pa.nulls(len(sample_ids), pa.float64()) if norms is None else pa.array(norms, pa.float64()),
        pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), width),
    ]
    rows = pa.table(columns, schema=_schema(width))
    tables = open_tables(directory, TABLE_NAME)
    if tables:
        tables[0].add(rows)
        return
    import lancedb  # takes a second, which a cached run does without

    remove_unborn(directory, TABLE_NAME)
    lancedb.connect(directory).create_table(TABLE_NAME, rows)


def stored_samples(directory: Path) -> pa.Array:
    """List the samples that have features.

    Args:
        directory: the LanceDB database; it may not exist yet and is not touched.

    Returns:
        Their ids, unordered.

    Raises:
        RuntimeError: a sample has features twice.
    """
    tables = open_tables(directory, TABLE_NAME)
    columns = [table.search().select(["sample_id"]).to_arrow()["sample_id"] for table in tables]
    ids = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()).combine_chunks()
    twice = len(ids) - pc.count_distinct(ids).as_py()
    if twice:
        raise RuntimeError(
            f"{directory}: {twice} samples have features twice; two writers must have worked at once. Delete the "
            "folder and run again"
        )
    return ids


def read_norms(directory: Path, sample_ids: Sequence[str]) -> NDArray[np.float64]:
    """Read gradient norms in the order asked.

    Returns:
        `(n,)` float64.

    Raises:
        MissingFeaturesError: samples without features; the first are named.
    """
    table = _table(directory, sample_ids).search().select(["sample_id", "norm"]).to_arrow()
    position = pc.index_in(pa.array(sample_ids, pa.string()), value_set=table["sample_id"].combine_chunks())
    _check_found(directory, sample_ids, np.asarray(position.is_valid()))
    return np.asarray(table["norm"].take(position), dtype=np.float64)


def read_features(directory: Path, sample_ids: Sequence[str]) -> NDArray[np.float32]:
    """Read features in the order asked; one scan, and beside the result only a block of rows is in memory.

    Args:
        directory: the LanceDB database.
        sample_ids: `n` distinct samples.

    Returns:
        `(n, d)` float32.

    Raises:
        MissingFeaturesError: samples without features; the first are named.
    """
    asked = pa.array(sample_ids, pa.string())
    width = _width(_table(directory, sample_ids))
    vectors = np.empty((len(sample_ids), width), dtype=np.float32)
    found = np.zeros(len(sample_ids), dtype=bool)
    for ids, block in scan_features(directory):
        position = pc.index_in(ids, value_set=asked)
        rows = np.asarray(position.drop_null())
        vectors[rows] = block[np.asarray(position.is_valid())]
        found[rows] = True
    _check_found(directory, sample_ids, found)
    return vectors


def scan_features(directory: Path) -> Iterator[tuple[pa.Array, NDArray[np.float32]]]:
    """Pass over all features once.

    Yields:
        Blocks of sample ids and their vectors `(b, d)` float32.
    """
    for table in open_tables(directory, TABLE_NAME):
        width = _width(table)
        rows = max(1, _BYTES_PER_BLOCK // (4 * width))
        for batch in table.search().select(["sample_id", "vector"]).to_batches(rows):
            vectors = batch.column("vector").flatten().to_numpy().reshape(-1, width)
            for start in range(0, batch.num_rows, rows):
                yield batch.column("sample_id").slice(start, rows), vectors[start : start + rows]


def _table(directory: Path, sample_ids: Sequence[str]) -> "lancedb.table.Table":
    tables = open_tables(directory, TABLE_NAME)
    if not tables:
        _check_found(directory, sample_ids, np.zeros(len(sample_ids), dtype=bool))
        raise MissingFeaturesError(f"{directory} holds no features")
    return tables[0]


def _check_found(directory: Path, sample_ids: Sequence[str], found: NDArray[np.bool_]) -> None:
    if not found.all():
        missing = [sample_ids[row] for row in np.flatnonzero(~found)[:5]]
        raise MissingFeaturesError(
            f"{directory}: {int((~found).sum())} of {len(sample_ids)} samples have no features, for example {missing}; "
            "run `presel run`, which computes them"
        )


def _width(table: "lancedb.table.Table") -> int:
    return int(table.schema.field("vector").type.list_size)


def _schema(width: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("sample_id", pa.string(), nullable=False, metadata=primary_key(1)),
            pa.field("norm", pa.float64()),
            pa.field("vector", pa.list_(pa.float32(), width), nullable=False),
        ]
    )
