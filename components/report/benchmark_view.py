"""The benchmark: grouped bars and a table, per set and on average."""

import math
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.report.benchmark_comparison import (
    difference,
    find_run,
    mean_score,
    relative,
    set_scores,
    shared_sets,
)
from components.report.inputs import BenchmarkRun
from components.report.number_text import NOTHING, count, percent, points, signed_points
from components.report.training_view import model_name

ORDER = ("base", "random", "tuned", "full")


@dataclass(frozen=True, slots=True)
class ModelScore:
    """One model's bar: its key for the colour, its length from 0 to 100 and the score as text."""

    key: str
    name: str
    bar: float
    score: str


@dataclass(frozen=True, slots=True)
class SetRow:
    """One benchmark set, or the average over them.

    Attributes:
        name: of the set.
        metric: how answers are judged.
        scores: per model; models without a score show a dash.
        questions: questions that the tuned model was judged on.
        left_out: questions left out because their image is in its training set.
        over_base: tuned minus base, points.
        over_random: tuned minus random, points, with the 95 % interval where there is one.
        relative: tuned over full.
    """

    name: str
    metric: str
    scores: tuple[ModelScore, ...]
    questions: str
    left_out: str
    over_base: str
    over_random: str
    relative: str


@dataclass(frozen=True, slots=True)
class BenchmarkView:
    """The section.

    Attributes:
        models: in the order of the bars; the scores' bars are unused here.
        average: over the sets that all models were measured on, None without such a set.
        rows: per set.
        has_base: the base model was measured.
        has_random: the random control was measured.
        has_full: the full-pool control was measured.
        has_interval: some interval could be computed.
    """

    models: tuple[ModelScore, ...]
    average: SetRow | None
    rows: tuple[SetRow, ...]
    has_base: bool
    has_random: bool
    has_full: bool
    has_interval: bool


def benchmark_view(runs: tuple[BenchmarkRun, ...]) -> BenchmarkView | None:
    """Lay out the section; None when no model was measured on any set."""
    measured = sorted(
        (run for run in runs if run.metrics.num_rows),
        key=lambda run: (ORDER.index(run.name) if run.name in ORDER else len(ORDER), run.name),
    )
    if not measured:
        return None
    names = list(dict.fromkeys(name for run in measured for name in run.metrics["set"].to_pylist()))
    models = tuple(measured)
    shared = shared_sets(*models)
    rows = tuple(_row(models, name, (name,)) for name in names)
    average = _row(models, "Average", shared) if len(shared) > 1 else None
    present = {run.name for run in models}
    return BenchmarkView(
        models=tuple(ModelScore(run.name, model_name(run.name), 0.0, "") for run in models),
        average=average,
        rows=rows,
        has_base={"base", "tuned"} <= present,
        has_random={"random", "tuned"} <= present,
        has_full={"full", "tuned"} <= present,
        has_interval=any("\u00b1" in row.over_random for row in rows),
    )


def _row(runs: tuple[BenchmarkRun, ...], name: str, sets: tuple[str, ...]) -> SetRow:
    tuned, base, random, full = (find_run(runs, key) for key in ("tuned", "base", "random", "full"))
    counted = tuned or runs[0]
    metrics = counted.metrics.filter(pc.is_in(counted.metrics["set"], pa.array(sets, pa.string())))
    return SetRow(
        name=name,
        metric=", ".join(sorted(set(metrics["metric"].to_pylist()))) if len(sets) == 1 else "",
        scores=tuple(_score(run, sets) for run in runs),
        questions=count(sum(metrics["questions"].to_pylist())),
        left_out=count(sum(metrics["left_out"].to_pylist())),
        over_base=_gap(tuned, base, sets),
        over_random=_gap(tuned, random, sets),
        relative=_relative(tuned, full, sets),
    )


def _score(run: BenchmarkRun, sets: tuple[str, ...]) -> ModelScore:
    score = mean_score(run, sets) if all(name in set_scores(run) for name in sets) else math.nan
    bar = 0.0 if math.isnan(score) else round(100 * min(max(score, 0.0), 1.0), 2)
    return ModelScore(run.name, model_name(run.name), bar, points(score))


def _gap(first: BenchmarkRun | None, second: BenchmarkRun | None, sets: tuple[str, ...]) -> str:
    if first is None or second is None or set(sets) - set(shared_sets(first, second)):
        return NOTHING
    gap = difference(first, second, sets)
    interval = "" if math.isnan(gap.half_width) else f" \u00b1 {points(gap.half_width)}"
    return signed_points(gap.mean) + interval


def _relative(tuned: BenchmarkRun | None, full: BenchmarkRun | None, sets: tuple[str, ...]) -> str:
    if tuned is None or full is None or set(sets) - set(shared_sets(tuned, full)):
        return NOTHING
    return percent(relative(tuned, full, sets))
