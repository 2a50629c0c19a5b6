"""The numbers of a run that matter, and one paragraph that says them."""

import math
from dataclasses import dataclass

import pyarrow.compute as pc

from components.benchmark.paired_comparison import ScoreDifference
from components.money import dollars
from components.report.benchmark_comparison import (
    differences,
    find_run,
    mean_score,
    relative,
    shared_sets,
)
from components.report.inputs import Costs, ReportInputs
from components.report.method_text import MethodText
from components.report.number_text import count, percent, points, quantity, signed_points
from components.report.task_rows import selected_rows


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """A run in numbers. Scores are 0 to 1, higher is better; NaN where the run has none.

    Attributes:
        samples: samples of the pool, one per image and task.
        images: distinct images of the pool.
        tasks: tasks of the pool.
        quarantined: records that did not become (part of) a sample.
        reference: samples of the reference set.
        selected: samples that the strategy picked.
        costs: money.
        base: mean benchmark score of the model before tuning.
        tuned: of the model tuned on reference set and selection.
        random: of the model tuned on as many samples drawn at random.
        full: of the model tuned on the whole pool.
        tuned_over_random: tuned minus random; None where it was not measured.
        relative: Rel., the tuned model's score over the full tune's, mean of the sets' ratios.
        sets: benchmark sets that the means are taken over.
    """

    samples: int
    images: int
    tasks: int
    quarantined: int
    reference: int
    selected: int
    costs: Costs
    base: float
    tuned: float
    random: float
    full: float
    tuned_over_random: ScoreDifference | None
    relative: float
    sets: int

    @property
    def picked(self) -> int:
        """Samples that get an instruction."""
        return self.reference + self.selected

    @property
    def picked_share(self) -> float:
        """Of the pool, 0 to 1; NaN for an empty pool."""
        return self.picked / self.samples if self.samples else math.nan


def key_figures(inputs: ReportInputs) -> KeyFigures:
    """Count and compare what the paragraph and the tiles at the top of the report say."""
    runs = tuple(run for run in inputs.benchmarks if run.metrics.num_rows)
    sets = shared_sets(*runs) if runs else ()
    base, tuned, random, full = (find_run(runs, name) for name in ("base", "tuned", "random", "full"))
    return KeyFigures(
        samples=inputs.samples.num_rows,
        images=int(pc.count_distinct(inputs.samples["image_sha"]).as_py()),
        tasks=int(pc.count_distinct(inputs.samples["task"]).as_py()),
        quarantined=inputs.quarantine.num_rows,
        reference=inputs.reference.num_rows,
        selected=selected_rows(inputs.selection).num_rows,
        costs=inputs.costs,
        base=mean_score(base, sets) if base else math.nan,
        tuned=mean_score(tuned, sets) if tuned else math.nan,
        random=mean_score(random, sets) if random else math.nan,
        full=mean_score(full, sets) if full else math.nan,
        tuned_over_random=differences(tuned, random, sets).average if tuned and random else None,
        relative=relative(tuned, full, sets) if tuned and full else math.nan,
        sets=len(sets),
    )


def summary_sentences(figures: KeyFigures, method: MethodText) -> tuple[str, ...]:
    """The run in plain words, one sentence per fact that the run has."""
    if not figures.samples:
        return ("The pool holds no image.",)
    of_pool = "them" if figures.samples == figures.images else f"its {quantity(figures.samples, 'sample')}"
    sentences = [
        f"The pool holds {quantity(figures.images, 'image')} in {quantity(figures.tasks, 'task')}.",
        f"{count(figures.picked)} of {of_pool} ({percent(figures.picked_share)}) get an instruction:"
        f" {count(figures.reference)} make up the reference set, which shows what each task is worth, and"
        f" {count(figures.selected)} were chosen {method.chosen}."
        if figures.reference
        else f"{count(figures.picked)} of {of_pool} ({percent(figures.picked_share)}) are tuned on; they were chosen"
        f" {method.chosen}.",
    ]
    costs = figures.costs
    if costs.all_usd > 0 and costs.instructions < costs.all_instructions:
        sentences.append(
            f"Their instructions cost {dollars(costs.spent_usd)}; annotating the whole pool would have cost"
            f" {dollars(costs.all_usd)}."
        )
    elif costs.all_usd > 0:
        sentences.append(f"That took an instruction for every sample, {dollars(costs.spent_usd)} in all.")
    return (*sentences, *_benchmark_sentences(figures))


def _benchmark_sentences(figures: KeyFigures) -> list[str]:
    if math.isnan(figures.tuned):
        return []
    over = "on the benchmark" if figures.sets == 1 else f"on average over {figures.sets} benchmark sets"
    sentence = f"Tuned on them, the model scores {points(figures.tuned)} of 100 {over}"
    if not math.isnan(figures.base):
        sentence += f", where it scored {points(figures.base)} before"
    sentences = [sentence + "."]
    if figures.tuned_over_random is not None:
        sentences.append(_compared_to_random(figures.tuned_over_random))
    if not math.isnan(figures.relative):
        sentences.append(
            f"It reaches {percent(figures.relative)} of what tuning on the whole annotated pool gives (Rel.)."
        )
    return sentences


def _compared_to_random(gap: ScoreDifference) -> str:
    size = f"{points(abs(gap.difference))} points {'above' if gap.difference >= 0 else 'below'}"
    sentence = f"That is {size} a model tuned on as many images drawn at random"
    interval = f"{signed_points(gap.low)} to {signed_points(gap.high)}"
    if gap.low <= 0 <= gap.high:
        return f"{sentence}, which the choice of questions alone may explain (95\u202f% interval {interval})."
    return f"{sentence}, more than the choice of questions explains (95\u202f% interval {interval})."
