"""Stage report: one page about the whole run."""

from PIL import Image

from components.pool.images import load_image
from components.report.report import build_report
from components.storage import fresh_directory, write_text
from tasks.platform.stage import StageContext, StageSummary, stage_task
from tasks.report_inputs import load_report_inputs


@stage_task("report")
def report(context: StageContext) -> StageSummary:
    """Write the page."""
    parameters = context.parameters

    def open_image(uri: str, image_sha: str) -> Image.Image:
        return load_image(uri, image_sha=image_sha, pixel_limit=parameters.ingest.pixel_limit)

    inputs = load_report_inputs(context)
    page = build_report(
        inputs,
        grid_clusters=parameters.report.grid_clusters,
        grid_images=parameters.report.grid_images,
        image_loader=open_image,
    )
    with fresh_directory(context.output) as directory:
        write_text(directory / "report.html", page)
    return StageSummary(1, f"{len(page) / 1e6:.1f} MB page: {context.output / 'report.html'}")
