"""Stage embed: images to vectors."""

from pathlib import Path

import pyarrow as pa

from components.models.embedding.embed import bytes_to_embed, embed_images
from components.parameters.parameters import Parameters
from components.pool.manifest import read_samples
from tasks.bodies.encoder import ENCODER_PARAMETERS
from tasks.bodies.tables import write_dropped
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


def _disk(samples: pa.Table, parameters: Parameters, directory: Path) -> int:
    return bytes_to_embed(samples["image_sha"].unique().to_pylist(), directory, encoder=parameters.encoder)


@stage(
    "one DINOv2 [CLS] vector per image",
    reads=("inputs/encoder.json", "manifest/samples.parquet"),
    parameters=(*ENCODER_PARAMETERS, "ingest.pixel_limit"),
    writes="vectors",
    persist=True,
    restored=True,
    uses="gpu",
    memory=("encoder.batch_size",),
    disk=_disk,
)
def embed(context: StageContext) -> StageSummary:
    """Compute the vectors that are missing."""
    parameters = context.parameters
    images = read_samples(context.input("manifest")).group_by("image_sha").aggregate([("uri", "min")])
    result = embed_images(
        images["image_sha"].to_pylist(),
        images["uri_min"].to_pylist(),
        context.output,
        encoder=parameters.encoder,
        pixel_limit=parameters.ingest.pixel_limit,
        progress=context.progress("embedded images:"),
        engine=context.engine,
    )
    write_dropped(context.output, result.dropped)
    counts = (("embedded", result.embedded), ("reused", result.reused), ("dropped", len(result.dropped)))
    note = f"{result.embedded:,} images embedded, {result.reused:,} known already, {len(result.dropped):,} dropped"
    return StageSummary(result.embedded + result.reused, note, counts)
