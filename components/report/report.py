"""Builds the page: every section's view is laid out here, then `report.html` draws them."""

from components.report.allocation_view import allocation_view
from components.report.benchmark_view import benchmark_view
from components.report.changes_view import changes_view
from components.report.cluster_grids import cluster_grids, grid_clusters_of
from components.report.coincide_view import coincide_view
from components.report.cost_view import cost_view
from components.report.example_answers import example_sets
from components.report.glance_view import glance_view
from components.report.health_view import health_view
from components.report.importance_view import importance_view
from components.report.inputs import ReportInputs
from components.report.key_figures import key_figures
from components.report.map_view import map_view
from components.report.method_text import METHODS
from components.report.task_rows import COLOURS, task_rows
from components.report.templates import template_environment
from components.report.thumbnails import ImageLoader, thumbnail_format
from components.report.tive_view import tive_view
from components.report.training_view import training_view

EXAMPLES_PER_SET = 4
FIRST_ROWS = 20  # tasks shown at once; further ones are folded


def build_report(
    inputs: ReportInputs, *, map_points: int, grid_clusters: int, grid_images: int, image_loader: ImageLoader
) -> str:
    """Write one self-contained page about a curation run.

    The page asks for nothing from outside itself, shows without JavaScript, and escapes every text that
    comes from data.

    Args:
        inputs: the run.
        map_points: images on the map at most.
        grid_clusters: clusters shown with picked and passed-over images.
        grid_images: images per row of a grid at most.
        image_loader: opens an image by URI and sha256 (empty: not known). An image that it refuses with
            `OSError` or `ValueError` is shown as an empty frame with the reason.

    Returns:
        HTML.
    """
    tasks = task_rows(inputs)
    method = METHODS[inputs.strategy]
    clusters = grid_clusters_of(
        inputs.selection, tasks, grid_clusters if method.score else 0, across_tasks=inputs.strategy == "coincide"
    )
    sets = max((run.metrics.num_rows for run in inputs.benchmarks), default=0)
    size = thumbnail_format(2 * grid_images * len(clusters) + EXAMPLES_PER_SET * sets)
    grids = cluster_grids(
        inputs, tasks, clusters, grid_images=grid_images, image_loader=image_loader, size=size, score=method.score
    )
    return (
        template_environment()
        .get_template("report.html")
        .render(
            glance=glance_view(key_figures(inputs), method=method, budget=inputs.budget),
            method=method,
            has_reference=bool(inputs.reference.num_rows),
            all_annotated=inputs.costs.instructions >= inputs.costs.all_instructions,
            changes=changes_view(
                tasks, inputs.recuration, inputs.reference, inputs.selection, inputs.costs, inputs.instructions
            ),
            tive=tive_view(tasks, inputs.tive, inputs.selection),
            coincide=coincide_view(tasks, inputs.coincide, inputs.selection),
            importance=importance_view(tasks, inputs.scores),
            allocation=allocation_view(tasks, inputs.allocation),
            map=map_view(inputs, tasks, map_points=map_points),
            grids=grids,
            training=training_view(inputs.training_runs),
            benchmark=benchmark_view(inputs.benchmarks),
            examples=example_sets(inputs, per_set=EXAMPLES_PER_SET, image_loader=image_loader, size=size),
            cost=cost_view(inputs.costs, inputs.instructions),
            health=health_view(inputs.quarantine, inputs.drops, inputs.samples),
            lineage=inputs.lineage,
            stage_times=inputs.stage_times,
            colours=COLOURS,
            first_rows=FIRST_ROWS,
        )
    )
