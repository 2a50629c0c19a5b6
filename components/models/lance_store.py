"""Vectors in LanceDB: one writer, durable commits, and a table that goes back to its newest whole version.

A store is a LanceDB database with one table for every width of its vectors: `NAME`, and `NAME_WIDTH` beside it for
those of another width than the first.
"""

import fcntl
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.errors import UserError
from components.models.lance_recovery import connect, go_back_to_whole, listed, manifests

if TYPE_CHECKING:
    from lancedb.query import LanceQueryBuilder
    from lancedb.table import LanceTable

BYTES_PER_BLOCK = 2**28  # of vectors read at a time; bounds memory beside the result
FRAGMENTS_BEFORE_COMPACTION = 100  # compaction rewrites the table, so it waits until it is worth it
_LOG = logging.getLogger(__name__)


class MissingVectorsError(UserError, ValueError):
    """Vectors were asked for that have not been computed."""


@dataclass(frozen=True, slots=True)
class LanceStore:
    """Vectors by name.

    Attributes:
        directory: the LanceDB database; it may not exist, and reading never touches it.
        name: of the table.
        key: column that names a row.
        lack: what is said of names that are not there: "images have no vector of MODEL".
        only: column and text of the rows that belong to this store, None if all of the table do.
        extra: columns beside the vector, with their types.
    """

    directory: Path
    name: str
    key: str
    lack: str
    only: tuple[str, str] | None = None
    extra: tuple[tuple[str, pa.DataType], ...] = ()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out while the block runs, and begin with tables that are whole.

        A killed writer's hold ends with it.

        Raises:
            RuntimeError: another process writes, or LanceDB cannot read a table whose files are whole.
            OSError: a file cannot be looked at.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeError(
                    f"another process writes vectors to {self.directory}; wait for it to end or stop it"
                ) from None
            for folder in self._folders():
                go_back_to_whole(folder, key=self.key)
            yield
        finally:
            os.close(descriptor)

    def append(
        self, names: Sequence[str], vectors: NDArray[np.float32], extra: Mapping[str, pa.Array] | None = None
    ) -> None:
        """Add rows durably, in one commit. Call it with many at a time: every call adds a fragment.

        Args:
            names: (n,) without a vector in this store yet; `names` and the end of writing tell.
            vectors: (n, d) float32, finite.
            extra: the columns beside them, each (n,).
        """
        width = vectors.shape[1]
        columns = {self.key: pa.array(names, pa.string())}
        if self.only is not None:
            columns[self.only[0]] = pa.repeat(self.only[1], len(names))
        columns |= extra or {}
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), width)
        rows = pa.table(columns, schema=self._schema(width))
        tables = self._tables()
        for table in tables:
            if _width(table) == width:
                table.add(rows)
                return
        connect(self.directory).create_table(f"{self.name}_{width}" if tables else self.name, rows)

    def names(self) -> pa.Array:
        """List what has a vector.

        Returns:
            The names, unordered.

        Raises:
            RuntimeError: one has two vectors.
        """
        found = self._column(self.key, pa.string())
        twice = len(found) - pc.count_distinct(found).as_py()
        if twice:
            raise RuntimeError(
                f"{self.directory}: {twice} rows are there twice; two writers must have worked at once. Delete the "
                "directory or restore an earlier version of it, then run again"
            )
        return found

    def read(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Read vectors in the order asked; one scan, and beside the result only a block of rows is in memory.

        Args:
            names: (n,); one may be asked for more than once.

        Returns:
            (n, d) float32, as they were written.

        Raises:
            MissingVectorsError: names without a vector; the first are named.
        """
        asked = pa.array(names, pa.string()).dictionary_encode()
        distinct = asked.dictionary
        found = np.zeros(len(distinct), dtype=bool)
        vectors = np.empty((len(distinct), 0), dtype=np.float32)
        for block_names, block in self.blocks():
            position = pc.index_in(block_names, value_set=distinct)
            known = np.asarray(position.is_valid())
            if not known.any():
                continue
            if vectors.shape[1] != block.shape[1]:
                vectors = np.empty((len(distinct), block.shape[1]), dtype=np.float32)
            rows = np.asarray(position.drop_null())
            vectors[rows] = block[known]
            found[rows] = True
        self._check_found(distinct, found)
        order = np.asarray(asked.indices)
        in_order = len(order) == len(distinct)  # distinct values come in the order of their first occurrence
        return vectors if in_order else vectors[order]

    def read_extra(self, names: Sequence[str], column: str) -> pa.Array:
        """Read a column beside the vectors, in the order asked.

        Raises:
            MissingVectorsError: names without a row; the first are named.
        """
        asked = pa.array(names, pa.string())
        position = pc.index_in(asked, value_set=self._column(self.key, pa.string()))
        self._check_found(asked, np.asarray(position.is_valid()))
        return self._column(column, dict(self.extra)[column]).take(position)

    def blocks(self) -> Iterator[tuple[pa.Array, NDArray[np.float32]]]:
        """Pass over all vectors once.

        Yields:
            Names (b,) and vectors (b, d) float32. The blocks depend on the rows and their order alone, not on the
            commits that they came in.
        """
        for table in self._tables():
            width = _width(table)
            size = max(1, BYTES_PER_BLOCK // (4 * width))
            pending: list[pa.RecordBatch] = []
            count = 0
            for batch in self._search(table, [self.key, "vector"]).to_batches(size):
                start = 0
                while start < batch.num_rows:
                    part = batch.slice(start, size - count)
                    pending.append(part)
                    start += part.num_rows
                    count += part.num_rows
                    if count == size:
                        yield self._block(pending, width)
                        pending, count = [], 0
            if pending:
                yield self._block(pending, width)

    def compact(self) -> None:
        """Merge the fragments of tables that have many of them, and drop their earlier versions."""
        for table in self._tables():
            fragments = table.stats()["fragment_stats"]["num_fragments"]
            if fragments > FRAGMENTS_BEFORE_COMPACTION:
                _LOG.info("merging %d fragments of %s in %s", fragments, table.name, self.directory)
                with warnings.catch_warnings():
                    # It warns of readers of earlier versions; the one writer is here, and readers open the latest.
                    warnings.filterwarnings("ignore", message="optimize.cleanup_older_than=0", category=UserWarning)
                    table.optimize(cleanup_older_than=timedelta(0))

    def _tables(self) -> "list[LanceTable]":
        """The tables by name. A writer that was killed before its first commit leaves none."""
        names = [folder.stem for folder in self._folders() if manifests(folder)]
        return [connect(self.directory).open_table(name) for name in names]

    def _folders(self) -> list[Path]:
        """Unlike `glob`, raises when the folder cannot be looked into."""
        found = listed(self.directory)
        return [path for path in found if path.suffix == ".lance" and path.name.startswith(self.name)]

    def _search(self, table: "LanceTable", columns: list[str]) -> "LanceQueryBuilder":
        query = table.search().select(columns)
        if self.only is None:
            return query
        column, text = self.only
        return query.where(f"{column} = '" + text.replace("'", "''") + "'")

    def _column(self, column: str, kind: pa.DataType) -> pa.Array:
        parts = [self._search(table, [column]).to_arrow()[column] for table in self._tables()]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind).combine_chunks()

    def _block(self, batches: list[pa.RecordBatch], width: int) -> tuple[pa.Array, NDArray[np.float32]]:
        names = pa.concat_arrays([batch.column(self.key) for batch in batches])
        parts = [batch.column("vector").flatten().to_numpy().reshape(-1, width) for batch in batches]
        return names, np.concatenate(parts)  # (b, d)

    def _check_found(self, asked: pa.Array, found: NDArray[np.bool_]) -> None:
        if not found.all():
            missing = asked.filter(pa.array(~found))
            raise MissingVectorsError(
                f"{self.directory}: {len(missing)} of {len(asked)} {self.lack}, for example "
                f"{missing[:5].to_pylist()}; run `presel run`, which computes them"
            )

    def _schema(self, width: int) -> pa.Schema:
        keys = [self.key] if self.only is None else [self.key, self.only[0]]
        return pa.schema(
            [
                *(
                    pa.field(name, pa.string(), nullable=False, metadata=_primary_key(position))
                    for position, name in enumerate(keys, start=1)
                ),
                *(pa.field(name, kind) for name, kind in self.extra),
                pa.field("vector", pa.list_(pa.float32(), width), nullable=False),
            ]
        )


def _width(table: "LanceTable") -> int:
    return int(table.schema.field("vector").type.list_size)


def _primary_key(position: int) -> dict[str, str]:
    """Field metadata that marks a column of the primary key, without which concurrent upserts duplicate rows silently.

    Table.set_unenforced_primary_key takes one column only, the metadata takes several.
    """
    return {
        "lance-schema:unenforced-primary-key": "true",
        "lance-schema:unenforced-primary-key:position": str(position),
    }
