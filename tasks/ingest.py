"""Stage ingest: sources to manifest and quarantine."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from components.parameters.parameters import VlmParameters
from components.pool.ingest import Size
from components.pool.ingest import ingest as ingest_pool
from components.pool.manifest import write_manifest
from components.pool.validate import BadImage
from components.schemas import QUARANTINE, SAMPLES
from components.storage import read_table, write_table
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable, count_table
from tasks.platform.workspace import STATE


def _tables(directory: Path) -> list[StageTable]:
    samples = read_table(directory / "samples.parquet", SAMPLES)
    quarantine = read_table(directory / "quarantine.parquet", QUARANTINE)
    return [
        count_table("samples", "Samples per task", samples, "task"),
        count_table("quarantine", "Quarantined", quarantine, "reason", followed=True),
    ]


def out_of_place(vlm: VlmParameters, sizes: Collection[Size]) -> Mapping[Size, BadImage]:
    """Which images are of no use to the model that is tuned, by their sizes."""
    # It imports torch, which a cached run does without, and which the processes that check images are started before.
    from components.models.images_out_of_place import images_out_of_place

    return images_out_of_place(vlm, sizes)


def _nothing(directory: Path) -> None:
    write_table(directory / "samples.parquet", SAMPLES.empty_table())


@stage(
    "validate, hash and deduplicate the pool's images",
    reads=("inputs/sources.json", "inputs/vlm.json"),
    parameters=(
        "sources",
        "ingest.pixel_limit",
        "ingest.near_duplicate_bits",
        "ingest.keep_near_duplicates",
        "vlm.model",
        "vlm.revision",
        "vlm.context_length",
        "vlm.max_pixels",
        "vlm.template_arguments",
    ),
    writes="manifest",
    persist=True,
    restored=True,
    nothing=_nothing,
    tables=_tables,
)
def ingest(context: StageContext) -> StageSummary:
    """Validate, hash and deduplicate the pool; leave out images that the model to tune cannot take."""
    result = ingest_pool(
        context.parameters.sources,
        context.parameters.ingest,
        known_images=STATE / "known-images.parquet",
        progress=context.progress("checked images:"),
        engine=context.engine,
        out_of_place=partial(out_of_place, context.parameters.vlm),
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
