"""How many images the pool holds and how many of them were picked."""

import math
from dataclasses import dataclass

import pyarrow.compute as pc

from components.report.geometry import Part, stacked
from components.report.inputs import ReportInputs
from components.report.task_rows import TaskRow


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
