"""Stage embed: images to vectors."""

from components.models.embedding.embed import embed_images
from components.pool.manifest import read_samples
from tasks.platform.stage import StageContext, StageSummary, stage_task
from tasks.tables import write_dropped


@stage_task("embed", uses="gpu")
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
    )
    write_dropped(context.output, result.dropped)
    counts = (("embedded", result.embedded), ("reused", result.reused), ("dropped", len(result.dropped)))
    note = f"{result.embedded:,} images embedded, {result.reused:,} known already, {len(result.dropped):,} dropped"
    return StageSummary(result.embedded + result.reused, note, counts)
