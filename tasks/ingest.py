"""Stage ingest: sources to manifest and quarantine."""

from pathlib import Path

from components.pool.ingest import ingest as ingest_pool
from components.pool.manifest import write_manifest
from components.schemas import QUARANTINE, SAMPLES
from components.storage import read_table, write_table
from tasks.platform.stage import StageContext, StageSummary, stage
from tasks.platform.stage_tables import StageTable, count_table
from tasks.platform.workspace import STATE


def _tables(directory: Path) -> list[StageTable]:
    samples = read_table(directory / "samples.parquet", SAMPLES)
    quarantine = read_table(directory / "quarantine.parquet", QUARANTINE)
    return [
        count_table("samples", "Samples per task", samples, "task"),
        count_table("quarantine", "Quarantined", quarantine, "reason", followed=True),
    ]


def _nothing(directory: Path) -> None:
    write_table(directory / "samples.parquet", SAMPLES.empty_table())


@stage(
    "validate, hash and deduplicate the pool's images",
    reads=("inputs/sources.json",),
    parameters=("sources", "ingest.pixel_limit", "ingest.near_duplicate_bits", "ingest.keep_near_duplicates"),
    writes="manifest",
    persist=True,
    restored=True,
    nothing=_nothing,
    tables=_tables,
)
def ingest(context: StageContext) -> StageSummary:
    """Validate, hash and deduplicate the pool."""
    result = ingest_pool(
        context.parameters.sources,
        context.parameters.ingest,
        known_images=STATE / "known-images.parquet",
        progress=context.progress("checked images:"),
    )
    new = write_manifest(context.output, result)
    rows = result.samples.num_rows
    return StageSummary(
        rows,
        f"{rows:,} samples of {result.images.num_rows:,} images ({result.read:,} hashed and decoded, {new:,} new), "
        f"{result.quarantine.num_rows:,} records quarantined",
        (
            ("samples", rows),
            ("images", result.images.num_rows),
            ("quarantined", result.quarantine.num_rows),
            ("images_read", result.read),
            ("images_new", new),
        ),
    )
