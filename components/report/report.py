"""Builds the page: the numbers of every section are gathered here, then `report.html` writes them."""

from components.instructions.spending.costs import uncertain_sentence
from components.report.benchmark import benchmark_scores
from components.report.cluster_grids import cluster_grids, grid_clusters_of
from components.report.cost import all_sends, purpose_costs
from components.report.example_answers import example_sets
from components.report.filters import template_environment
from components.report.inputs import ReportInputs
from components.report.key_figures import key_figures
from components.report.left_out import near_duplicates, refused_reasons
from components.report.map import pool_map
from components.report.task_rows import task_rows
from components.report.thumbnails import ImageLoader, thumbnail_format
from components.report.training import training_curves

EXAMPLES_PER_SET = 4
GRID_CLUSTERS = 6  # shown with picked and passed-over images: enough to judge by, and the page stays below some MB
FIRST_ROWS = 20  # tasks shown at once; further ones are folded
MODEL_NAMES = {"base": "base model", "tuned": "tuned model", "random": "random control", "full": "full-pool control"}


def build_report(
    inputs: ReportInputs, *, grid_images: int, image_loader: ImageLoader, grid_clusters: int = GRID_CLUSTERS
) -> str:
    """Write one self-contained page about a curation run.

    The page asks for nothing from outside itself, shows without JavaScript, and escapes every text that
    comes from data.

    Args:
        inputs: the run.
        grid_images: images per row of a grid at most.
        image_loader: opens an image by URI and sha256 (empty: not known). An image that it refuses with
            `OSError` or `ValueError` is shown as an empty frame with the reason.
        grid_clusters: clusters shown with picked and passed-over images.

    Returns:
        HTML.
    """
    tasks = task_rows(inputs)
    strategy = inputs.strategy
    clusters = grid_clusters_of(
        inputs.selection, tasks, grid_clusters if strategy.score else 0, across_tasks=strategy.mixes_tasks
    )
    sets = max((run.metrics.num_rows for run in inputs.benchmarks), default=0)
    size = thumbnail_format(2 * grid_images * len(clusters) + EXAMPLES_PER_SET * sets)
    sends = all_sends(inputs.costs, inputs.instructions)
    return (
        template_environment()
        .get_template("report.html")
        .render(
            figures=key_figures(inputs, tasks),
            tasks=tasks,
            strategy=strategy,
            budget=inputs.budget,
            sections=inputs.evidence.sections(inputs, tasks),
            map=pool_map(inputs, tasks),
            grids=cluster_grids(inputs, tasks, clusters, grid_images=grid_images, image_loader=image_loader, size=size),
            training=training_curves(inputs.training_runs),
            benchmark=benchmark_scores(inputs.benchmarks),
            model_names=MODEL_NAMES,
            examples=example_sets(inputs, per_set=EXAMPLES_PER_SET, image_loader=image_loader, size=size),
            costs=inputs.costs,
            purposes_paid=purpose_costs(inputs.instructions),
            sends=sends,
            uncertain=uncertain_sentence(sends.uncertain_usd) if sends else "",
            refused=refused_reasons(inputs.quarantine),
            drops=inputs.drops,
            records=inputs.records,
            near_duplicates=near_duplicates(inputs.samples),
            lineage=inputs.lineage,
            first_rows=FIRST_ROWS,
        )
    )
