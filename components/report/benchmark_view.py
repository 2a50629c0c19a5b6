"""The benchmark: grouped bars and a table, per set and on average."""

import math
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.report.benchmark_comparison import (
    ModelDifferences,
    differences,
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
        left_out: questions left out because their image is in the pool.
        over_base: tuned minus base, points.
        over_random: tuned minus random, points, with the 95 % interval.
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
    """

    models: tuple[ModelScore, ...]
    average: SetRow | None
    rows: tuple[SetRow, ...]
    has_base: bool
    has_random: bool
    has_full: bool


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
    gaps = {key: _gaps(models, key, shared) for key in ("base", "random")}
    rows = tuple(_row(models, name, (name,), gaps) for name in names)
    average = _row(models, "Average", shared, gaps) if len(shared) > 1 else None
    present = {run.name for run in models}
    return BenchmarkView(
        models=tuple(ModelScore(run.name, model_name(run.name), 0.0, "") for run in models),
        average=average,
        rows=rows,
        has_base={"base", "tuned"} <= present,
        has_random={"random", "tuned"} <= present,
        has_full={"full", "tuned"} <= present,
    )


def _gaps(runs: tuple[BenchmarkRun, ...], other: str, shared: tuple[str, ...]) -> ModelDifferences:
    tuned, second = find_run(runs, "tuned"), find_run(runs, other)
    return ModelDifferences(None, {}) if tuned is None or second is None else differences(tuned, second, shared)


def _row(runs: tuple[BenchmarkRun, ...], name: str, sets: tuple[str, ...], gaps: dict[str, ModelDifferences]) -> SetRow:
    tuned, full = (find_run(runs, key) for key in ("tuned", "full"))
    counted = tuned or runs[0]
    metrics = counted.metrics.filter(pc.is_in(counted.metrics["set"], pa.array(sets, pa.string())))
    return SetRow(
        name=name,
        metric=", ".join(sorted(set(metrics["metric"].to_pylist()))) if len(sets) == 1 else "",
        scores=tuple(_score(run, sets) for run in runs),
        questions=count(sum(metrics["questions"].to_pylist())),
        left_out=count(sum(metrics["left_out"].to_pylist())),
        over_base=_gap(gaps["base"], sets),
        over_random=_gap(gaps["random"], sets),
        relative=_relative(tuned, full, sets),
    )


def _score(run: BenchmarkRun, sets: tuple[str, ...]) -> ModelScore:
    score = mean_score(run, sets) if all(name in set_scores(run) for name in sets) else math.nan
    bar = 0.0 if math.isnan(score) else round(100 * min(max(score, 0.0), 1.0), 2)
    return ModelScore(run.name, model_name(run.name), bar, points(score))


def _gap(gaps: ModelDifferences, sets: tuple[str, ...]) -> str:
    gap = gaps.sets.get(sets[0]) if len(sets) == 1 else gaps.average
    if gap is None:
        return NOTHING
    return f"{signed_points(gap.difference)} ({signed_points(gap.low)} to {signed_points(gap.high)})"


def _relative(tuned: BenchmarkRun | None, full: BenchmarkRun | None, sets: tuple[str, ...]) -> str:
    if tuned is None or full is None or set(sets) - set(shared_sets(tuned, full)):
        return NOTHING
    return percent(relative(tuned, full, sets))
