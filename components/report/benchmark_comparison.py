"""How far two models are apart on the benchmark, and how much of that the choice of questions explains."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.benchmark.relative import average_score, relative_score
from components.report.inputs import BenchmarkRun

NORMAL_95 = 1.959964  # half width of a 95 % interval in standard errors


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean score of one model minus that of another.

    Attributes:
        mean: -1 to 1; positive means that the first is better.
        half_width: half of the 95 % interval over the choice of questions, NaN where a set's score is not
            the mean of its questions' scores (F1) or the models share fewer than two questions.
    """

    mean: float
    half_width: float


def find_run(runs: tuple[BenchmarkRun, ...], name: str) -> BenchmarkRun | None:
    """The run of that model, None where it has none or no set was measured."""
    return next((run for run in runs if run.name == name and run.metrics.num_rows), None)


def set_scores(run: BenchmarkRun) -> dict[str, float]:
    """Score per set, 0 to 1, higher is better; sets that have no finite score are left out."""
    pairs = zip(run.metrics["set"].to_pylist(), run.metrics["score"].to_pylist(), strict=True)
    return {name: float(score) for name, score in pairs if score is not None and math.isfinite(score)}


def shared_sets(*runs: BenchmarkRun) -> tuple[str, ...]:
    """The sets that all the runs have a score for, in the first run's order."""
    first, *others = [set_scores(run) for run in runs]
    return tuple(name for name in first if all(name in scores for scores in others))


def mean_score(run: BenchmarkRun, sets: tuple[str, ...]) -> float:
    """Plain mean of the sets' scores, 0 to 1; NaN over no sets."""
    return average_score(_only(run, sets))


def difference(first: BenchmarkRun, second: BenchmarkRun, sets: tuple[str, ...]) -> Difference:
    """The first model's mean score minus the second's, over the given sets.

    The interval pairs the two models' scores question by question. It says what another draw of questions
    would do, not what another training seed would.

    Args:
        first: a run.
        second: another run.
        sets: sets that both have.

    Returns:
        The difference.
    """
    if not sets:
        return Difference(math.nan, math.nan)
    mean = mean_score(first, sets) - mean_score(second, sets)
    variances = [_paired_variance(first, second, name) for name in sets]
    return Difference(mean, NORMAL_95 * math.sqrt(sum(variances)) / len(sets))


def relative(tuned: BenchmarkRun, full: BenchmarkRun, sets: tuple[str, ...]) -> float:
    """Rel. over the given sets as a share, 1: as good as the full tune; NaN where it is not defined."""
    if not sets:
        return math.nan
    percentage = relative_score(_only(tuned, sets), _only(full, sets))
    return math.nan if percentage is None else percentage / 100


def question_scores(run: BenchmarkRun, set_name: str) -> dict[tuple[str, int], float]:
    """Score of every question of one set, by record and turn."""
    rows = run.predictions.filter(pc.equal(run.predictions["set"], set_name))
    keys = zip(rows["record_id"].to_pylist(), rows["turn"].to_pylist(), strict=True)
    return dict(zip(keys, rows["score"].to_pylist(), strict=True))


def _only(run: BenchmarkRun, sets: tuple[str, ...]) -> pa.Table:
    return run.metrics.filter(pc.is_in(run.metrics["set"], pa.array(sets, pa.string())))


def _paired_variance(first: BenchmarkRun, second: BenchmarkRun, set_name: str) -> float:
    """Variance of the mean difference over the shared questions; NaN where it says nothing."""
    scores = [question_scores(run, set_name) for run in (first, second)]
    for run, by_question in zip((first, second), scores, strict=True):
        if not by_question:
            return math.nan
        if abs(float(np.mean(list(by_question.values()))) - set_scores(run)[set_name]) > 1e-6:
            return math.nan
    shared = scores[0].keys() & scores[1].keys()
    if len(shared) < 2:
        return math.nan
    paired = np.array([scores[0][key] - scores[1][key] for key in shared])
    return float(paired.var(ddof=1)) / len(paired)
