"""Builds the page: the numbers of every section are gathered here, then `report.html` writes them."""

import math
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.instructions.spending.costs import uncertain_sentence
from components.report.benchmark import benchmark_scores
from components.report.cluster_grids import cluster_grids, grid_clusters_of
from components.report.cost import all_sends, purpose_costs
from components.report.example_answers import example_sets
from components.report.filters import template_environment
from components.report.geometry import Part, stacked
from components.report.inputs import ReportInputs
from components.report.map import pool_map
from components.report.task_rows import TaskRow, task_rows
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


@dataclass(frozen=True, slots=True)
class RefusedReason:
    """One reason: how often it applied, and one example."""

    reason: str
    records: int
    example: str


def refused_reasons(quarantine: pa.Table) -> tuple[RefusedReason, ...]:
    """The reasons of QUARANTINE, the most frequent first."""
    reasons = Counter(quarantine["reason"].to_pylist())
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return tuple(RefusedReason(reason, number, _example(quarantine, reason)) for reason, number in ordered)


def near_duplicates(samples: pa.Table) -> int:
    """Samples of SAMPLES whose image is nearly another one."""
    return int(pc.sum(pc.not_equal(samples["near_duplicate_of"], "")).as_py() or 0)


def _example(quarantine: pa.Table, reason: str) -> str:
    row = quarantine.filter(pc.equal(quarantine["reason"], reason)).slice(0, 1).to_pylist()[0]
    where = row["image"] or row["record_id"] or row["source"]
    return f"{where}: {row['detail']}" if row["detail"] else str(where)


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """A run in numbers.

    Attributes:
        samples: samples of the pool, one per image and task.
        images: distinct images of the pool.
        tasks: tasks of the pool.
        quarantined: records that did not become (part of) a sample.
        reference: samples of the reference set.
        selected: samples that the strategy picked.
        picked: both.
        picked_share: of the pool, 0 to 1; NaN for an empty pool.
        parts: the pool as one bar of `reference`, `selected` and `passed`.
    """

    samples: int
    images: int
    tasks: int
    quarantined: int
    reference: int
    selected: int
    picked: int
    picked_share: float
    parts: tuple[Part, ...]


def key_figures(inputs: ReportInputs, tasks: tuple[TaskRow, ...]) -> KeyFigures:
    """Count."""
    samples, reference = inputs.samples.num_rows, inputs.reference.num_rows
    selected = sum(row.selected for row in tasks)
    picked = reference + selected
    named = [("reference", reference), ("selected", selected), ("passed", samples - picked)]
    return KeyFigures(
        samples=samples,
        images=int(pc.count_distinct(inputs.samples["image_sha"]).as_py()),
        tasks=sum(row.samples > 0 for row in tasks),
        quarantined=inputs.quarantine.num_rows,
        reference=reference,
        selected=selected,
        picked=picked,
        picked_share=picked / samples if samples else math.nan,
        parts=stacked(named if reference else named[1:]),
    )
