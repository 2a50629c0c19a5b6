"""Stage ingest: sources to manifest and quarantine."""

from components.pool.ingest import ingest as ingest_pool
from components.pool.manifest import write_manifest
from tasks.platform.stage import StageContext, StageSummary, stage_task
from tasks.platform.workspace import STATE


@stage_task("ingest")
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
