"""The pool and the budget at a glance: tiles with the numbers and one bar for the whole pool."""

import math
from dataclasses import dataclass

from components.money import dollars
from components.report.key_figures import KeyFigures, summary_sentences
from components.report.method_text import MethodText
from components.report.number_text import NO_BREAK, count, percent, points, quantity, signed_points


@dataclass(frozen=True, slots=True)
class Figure:
    """A tile: what it is, the number, what to hold it against, where to read more."""

    label: str
    value: str
    note: str
    section: str


@dataclass(frozen=True, slots=True)
class PoolPart:
    """A part of the pool's bar: its key for the colour, its name, count and share, start and width 0 to 100."""

    key: str
    name: str
    count: str
    share: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class GlanceView:
    """The head of the page."""

    title: str
    sentences: tuple[str, ...]
    figures: tuple[Figure, ...]
    parts: tuple[PoolPart, ...]


def glance_view(figures: KeyFigures, *, method: MethodText, budget: str) -> GlanceView:
    """Lay out the head of the page."""
    noun = "image" if figures.samples == figures.images else "sample"
    return GlanceView(
        title=f"{count(figures.picked)} of {quantity(figures.samples, noun)} {_deserve(figures)}",
        sentences=summary_sentences(figures, method),
        figures=(*_pool_figures(figures, budget), *_cost_figures(figures), *_benchmark_figures(figures)),
        parts=_parts(figures),
    )


def _deserve(figures: KeyFigures) -> str:
    everything = figures.costs.instructions >= figures.costs.all_instructions
    return "deserve to be tuned on" if everything and figures.picked < figures.samples else "deserve an instruction"


def _pool_figures(figures: KeyFigures, budget: str) -> list[Figure]:
    note = quantity(figures.tasks, "task")
    if figures.samples != figures.images:
        note += f", {quantity(figures.samples, 'sample')}"
    asked = f" of a budget of {budget}" if budget and figures.picked < figures.samples else ""
    return [
        Figure("Images in the pool", count(figures.images), note, "pool"),
        Figure("Records quarantined", count(figures.quarantined), "refused by ingest", "left-out"),
        Figure(
            "Picked",
            count(figures.picked),
            (f"{count(figures.reference)} reference + " if figures.reference else "")
            + f"{count(figures.selected)} selected{asked}",
            "allocation",
        ),
    ]


def _cost_figures(figures: KeyFigures) -> list[Figure]:
    costs = figures.costs
    return [
        Figure(
            "Instructions",
            count(costs.instructions),
            "the whole pool's"
            if costs.instructions >= costs.all_instructions
            else f"instead of {count(costs.all_instructions)} for the whole pool",
            "cost",
        ),
        Figure(
            "Cost",
            dollars(costs.spent_usd),
            ("" if costs.instructions >= costs.all_instructions else f"instead of {dollars(costs.all_usd)}")
            + (f"; the controls took {dollars(costs.controls_usd)} more" if costs.controls_usd else ""),
            "cost",
        ),
    ]


def _benchmark_figures(figures: KeyFigures) -> list[Figure]:
    tiles = []
    if not math.isnan(figures.tuned):
        before = "" if math.isnan(figures.base) else f"{points(figures.base)} before tuning"
        tiles.append(Figure("Benchmark", points(figures.tuned), before, "benchmark"))
    gap = figures.tuned_over_random
    if gap is not None:
        tiles.append(
            Figure(
                "Against random",
                signed_points(gap.difference),
                f"points (95{NO_BREAK}% interval {signed_points(gap.low)} to {signed_points(gap.high)})",
                "benchmark",
            )
        )
    if not math.isnan(figures.relative):
        tiles.append(Figure("Rel.", percent(figures.relative), "of a tune on the whole pool", "benchmark"))
    return tiles


def _parts(figures: KeyFigures) -> tuple[PoolPart, ...]:
    total = figures.samples
    if not total:
        return ()
    named = (
        *([("reference", "reference set", figures.reference)] if figures.reference else []),
        ("selected", "selected", figures.selected),
        ("passed", "passed over", total - figures.picked),
    )
    parts, start = [], 0.0
    for key, name, number in named:
        width = 100 * number / total
        parts.append(PoolPart(key, name, count(number), percent(number / total), round(start, 2), round(width, 2)))
        start += width
    return tuple(parts)
