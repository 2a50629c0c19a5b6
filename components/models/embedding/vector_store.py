"""The LanceDB table of image vectors: one row per image and encoder, written in bulk by one writer."""

import hashlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
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

TABLE_NAME = "vectors"
# Raise it with every change of the embedding code that changes vectors: those that are stored are then not reused.
VECTOR_VERSION = 1
ROWS_PER_SCAN_BLOCK = 65_536  # rows looked up at a time when reading; bounds memory beside the result
FRAGMENTS_BEFORE_COMPACTION = 100  # compaction rewrites the table, so it waits until it is worth it
FINGERPRINTED = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")

logger = logging.getLogger(__name__)


class MissingVectorsError(UserError, ValueError):
    """Vectors were asked for that have not been computed."""


def encoder_fingerprint(model: str, revision: str | None, *, dtype: str) -> str:
    """Name an encoder by what it computes, so that vectors of different weights never mix.

    Args:
        model: folder or Hugging Face id.
        revision: git revision of a Hub model.
        dtype: as the parameters give it; bfloat16 and float32 vectors differ in the third digit.

    Returns:
        `sha256:` and 32 hex digits over configuration, preprocessing and weights of a folder (its name does
        not count), or `id@revision` for a Hub model; then the dtype and the version of the embedding code.

    Raises:
        ValueError: a Hub id without a revision, or a folder without configuration or safetensors weights.
    """
    folder = Path(model)
    if not folder.is_dir():
        if revision is None:
            raise ValueError(
                f"encoder.model {model!r} is no folder, so it is taken as a Hugging Face id, and "
                "encoder.revision is null: give the git revision, so that vectors do not change unnoticed"
            )
        return f"{model}@{revision}:{dtype}:v{VECTOR_VERSION}"
    files = sorted({path for pattern in FINGERPRINTED for path in folder.glob(pattern)})
    names = [path.name for path in files]
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise ValueError(f"encoder folder {model!r} needs config.json and *.safetensors; it has {names}")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"sha256:{digest.hexdigest()[:32]}:{dtype}:v{VECTOR_VERSION}"


def stored_images(directory: Path, *, model: str) -> pa.ChunkedArray:
    """List the images that have a vector of this encoder.

    Args:
        directory: the LanceDB database; it may not exist yet and is not touched.
        model: `encoder_fingerprint`.

    Returns:
        Their sha256, unordered.

    Raises:
        RuntimeError: an image has two vectors of the same encoder.
    """
    found = [
        table.search().where(_is_model(model)).select(["image_sha"]).to_arrow().column("image_sha")
        for table in open_tables(directory, TABLE_NAME)
    ]
    image_shas = pa.chunked_array([chunk for column in found for chunk in column.chunks], type=pa.string())
    duplicates = len(image_shas) - pc.count_distinct(image_shas).as_py()
    if duplicates:
        raise RuntimeError(
            f"{directory}: {duplicates} images have more than one vector of {model}; two writers must have "
            "worked at once. Delete the directory or restore an earlier version of it, then embed again"
        )
    return image_shas


def append_vectors(directory: Path, image_shas: Sequence[str], vectors: NDArray[np.float32], *, model: str) -> None:
    """Add vectors durably, in one commit. Call it with many rows at a time: every call adds a fragment.

    A table holds vectors of one dimension: those of an encoder with another dimension go to a table
    `vectors_D` beside the first.

    Args:
        directory: the LanceDB database; made when it does not exist.
        image_shas: (n,) sha256 of images that have no vector of this encoder yet.
        vectors: (n, d) float32, finite.
        model: `encoder_fingerprint`.
    """
    dimension = vectors.shape[1]
    rows = pa.table(
        [
            pa.array(image_shas, pa.string()),
            pa.repeat(model, len(image_shas)),
            pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dimension),
        ],
        schema=_schema(dimension),
    )
    for table in open_tables(directory, TABLE_NAME):
        if table.schema.field("vector").type.list_size == dimension:
            table.add(rows)
            return
    import lancedb  # takes a second, which a run that finds its vectors in the cache does without

    remove_unborn(directory, TABLE_NAME)
    database = lancedb.connect(directory)
    taken = TABLE_NAME in database.list_tables().tables
    database.create_table(f"{TABLE_NAME}_{dimension}" if taken else TABLE_NAME, rows)


def compact(directory: Path) -> None:
    """Merge the fragments of tables that have many of them, and drop their earlier versions."""
    for table in open_tables(directory, TABLE_NAME):
        fragments = table.stats()["fragment_stats"]["num_fragments"]
        if fragments > FRAGMENTS_BEFORE_COMPACTION:
            logger.info("merging %d fragments of %s in %s", fragments, table.name, directory)
            with warnings.catch_warnings():
                # It warns of readers of earlier versions; the one writer is here, and readers open the latest.
                warnings.filterwarnings("ignore", message="optimize.cleanup_older_than=0", category=UserWarning)
                table.optimize(cleanup_older_than=timedelta(0))


def read_vectors(directory: Path, image_shas: Sequence[str], *, model: str) -> NDArray[np.float32]:
    """Read the vectors of images, in the order asked.

    One scan over the columns; beside the result only a block of rows is in memory.

    Args:
        directory: the LanceDB database.
        image_shas: (n,) sha256 of the images; one may be asked for more than once.
        model: `encoder_fingerprint`.

    Returns:
        (n, d) float32, as the encoder gave them (not normalised).

    Raises:
        MissingVectorsError: images without a vector of this encoder; the first are named.
    """
    asked = pa.array(image_shas, pa.string()).dictionary_encode()
    distinct = asked.dictionary
    found = np.zeros(len(distinct), dtype=bool)
    vectors = np.empty((len(distinct), 0), dtype=np.float32)
    for table in open_tables(directory, TABLE_NAME):
        dimension = table.schema.field("vector").type.list_size
        for shas, block in _blocks(table, model):
            position = pc.index_in(shas, value_set=distinct)
            known = np.asarray(position.is_valid())
            if not known.any():
                continue
            if vectors.shape[1] != dimension:
                vectors = np.empty((len(distinct), dimension), dtype=np.float32)
            rows = np.asarray(position.drop_null())
            vectors[rows] = block[known]
            found[rows] = True
    if not found.all():
        missing = distinct.filter(pa.array(~found)).to_pylist()
        raise MissingVectorsError(
            f"{directory}: {len(missing)} of {len(distinct)} images have no vector of {model}, "
            f"for example {missing[:5]}; run `presel run`, which computes them"
        )
    order = np.asarray(asked.indices)
    in_order = len(order) == len(distinct)  # distinct values come in the order of their first occurrence
    return vectors if in_order else vectors[order]


def _blocks(table: "lancedb.table.Table", model: str) -> Iterator[tuple[pa.Array, NDArray[np.float32]]]:
    dimension = table.schema.field("vector").type.list_size
    query = table.search().where(_is_model(model)).select(["image_sha", "vector"])
    pending: list[pa.RecordBatch] = []
    for batch in query.to_batches(ROWS_PER_SCAN_BLOCK):
        pending.append(batch)
        if sum(part.num_rows for part in pending) >= ROWS_PER_SCAN_BLOCK:
            yield _block(pending, dimension)
            pending = []
    if pending:
        yield _block(pending, dimension)


def _block(batches: list[pa.RecordBatch], dimension: int) -> tuple[pa.Array, NDArray[np.float32]]:
    shas = pa.concat_arrays([batch.column("image_sha") for batch in batches])
    parts = [batch.column("vector").flatten().to_numpy().reshape(-1, dimension) for batch in batches]
    return shas, np.concatenate(parts)  # (rows, d)


def _is_model(model: str) -> str:
    return "model = '" + model.replace("'", "''") + "'"


def _schema(dimension: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("image_sha", pa.string(), nullable=False, metadata=primary_key(1)),
            pa.field("model", pa.string(), nullable=False, metadata=primary_key(2)),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )
