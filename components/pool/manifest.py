"""The manifest directory: images as append-only parts, samples and quarantine as they are now."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from components.schemas import IMAGES, QUARANTINE, RECORDS, SAMPLES
from components.storage import read_table, write_table

_IMAGES = "images"
_SAMPLES = "samples.parquet"
_QUARANTINE = "quarantine.parquet"
_RECORDS = "records.parquet"


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What ingest found.

    Attributes:
        images: `IMAGES`, one row per distinct image that a sample uses, sorted by image_sha.
        samples: `SAMPLES`, one row per task and image, sorted by sample_id.
        quarantine: `QUARANTINE`, one row per record left out, in the order of the sources.
        records: `RECORDS`, what became of all records, by source.
        read: images that were hashed and decoded; the others are unchanged since an earlier run, or unusable.
    """

    images: pa.Table
    samples: pa.Table
    quarantine: pa.Table
    records: pa.Table
    read: int


def write_manifest(directory: Path, result: IngestResult) -> int:
    """Write what ingest found.

    Parts of `images/` that are there stay as they are; images that they lack (or hold without the perceptual
    hash that is known now) go into one new part. So a grown pool adds a file and changes none.

    Returns:
        Number of images in the new part; 0 when there was nothing new and no part was written.
    """
    parts = directory / _IMAGES
    parts.mkdir(parents=True, exist_ok=True)
    present = set(_keys(read_table(parts, IMAGES)))
    keys = _keys(result.images)
    new = result.images.filter(
        pa.array([key not in present and (key[0], True) not in present for key in keys], type=pa.bool_())
    )
    if new.num_rows:
        write_table(parts / f"part-{len(list(parts.glob('part-*.parquet'))):05d}.parquet", new)
    write_table(directory / _SAMPLES, result.samples)
    write_table(directory / _QUARANTINE, result.quarantine)
    write_table(directory / _RECORDS, result.records)
    return int(new.num_rows)


def read_samples(directory: Path) -> pa.Table:
    """Read the samples of the pool (`SAMPLES`), sorted by sample_id."""
    return read_table(directory / _SAMPLES, SAMPLES)


def read_quarantine(directory: Path) -> pa.Table:
    """Read the records left out (`QUARANTINE`), in the order of the sources."""
    return read_table(directory / _QUARANTINE, QUARANTINE)


def read_records(directory: Path) -> pa.Table:
    """Read what became of all records (`RECORDS`), in the order of the sources."""
    return read_table(directory / _RECORDS, RECORDS)


def read_images(directory: Path) -> pa.Table:
    """Read all images that the manifest ever held (`IMAGES`), one row each, sorted by image_sha.

    An image that has left the pool is still among them; the samples say what the pool holds now.
    """
    table = read_table(directory / _IMAGES, IMAGES)
    latest = {sha: row for row, sha in enumerate(table.column("image_sha").to_pylist())}
    return table.take(pa.array([latest[sha] for sha in sorted(latest)], type=pa.int64()))


def _keys(images: pa.Table) -> list[tuple[str, bool]]:
    hashes = images.column("perceptual_hash").to_pylist()
    return [(sha, bool(text)) for sha, text in zip(images.column("image_sha").to_pylist(), hashes, strict=True)]
