"""Stage report: one page about the whole run."""

from PIL import Image

from components.pool.images import load_image
from components.report.report import build_report
from components.storage import fresh_directory, write_text
from components.strategies.strategy import Strategy
from tasks.bodies.encoder import ENCODER_PARAMETERS
from tasks.bodies.report_inputs import load_report_inputs
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary

_OF_EVERY_STRATEGY = (
    "manifest",
    "instructions",
    "inputs/instructions.json",
    "selection",
    "training_set",
    "model",
    "benchmark",
)


def _reads(strategy: Strategy) -> tuple[str, ...]:
    return (*strategy.evidence, *_OF_EVERY_STRATEGY)


def _parameters(strategy: Strategy) -> tuple[str, ...]:
    return (
        "report",
        "strategy",
        *strategy.shown_parameters,
        "budget",
        "baselines",
        "instructions",
        "purchase.prices",
        "vlm",
        "ingest.pixel_limit",
        *ENCODER_PARAMETERS,
        "seed",
    )


@stage("one self-contained page about all of it", reads=_reads, parameters=_parameters, writes="report", has_page=False)
def report(context: StageContext) -> StageSummary:
    """Write the page."""
    parameters = context.parameters

    def open_image(uri: str, image_sha: str) -> Image.Image:
        return load_image(uri, image_sha=image_sha, pixel_limit=parameters.ingest.pixel_limit)

    inputs = load_report_inputs(context)
    page = build_report(
        inputs,
        grid_images=parameters.report.grid_images,
        image_loader=open_image,
    )
    with fresh_directory(context.output) as directory:
        write_text(directory / "report.html", page)
    return StageSummary(1, f"{len(page) / 1e6:.1f} MB page: {context.output / 'report.html'}")
