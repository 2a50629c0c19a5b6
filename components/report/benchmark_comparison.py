"""The benchmark's numbers of the models of one run, and how far two of them are apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.benchmark.paired_answers import pair_answers
from components.benchmark.paired_comparison import ScoreDifference, paired_bootstrap
from components.benchmark.relative import average_score, relative_score
from components.report.inputs import BenchmarkRun

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 0  # the same answers give the same page


@dataclass(frozen=True, slots=True)
class ModelDifferences:
    """One model against another.

    Attributes:
        average: over the sets that all models of the run have a score for; None without such a set.
        sets: by name, those that both have a score for.
    """

    average: ScoreDifference | None
    sets: Mapping[str, ScoreDifference]


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


def differences(first: BenchmarkRun, second: BenchmarkRun, shared: tuple[str, ...]) -> ModelDifferences:
    """Compare two models on the questions that both were asked, as the promotion gate does.

    Args:
        first: a run; positive differences mean that it is better.
        second: another run.
        shared: sets that the average is taken over.

    Returns:
        The differences with their 95 % intervals.
    """
    both = shared_sets(first, second)
    metric_of = dict(zip(first.metrics["set"].to_pylist(), first.metrics["metric"].to_pylist(), strict=True))
    paired = pair_answers(first.predictions, second.predictions, metric_of={name: metric_of[name] for name in both})
    if not paired:
        return ModelDifferences(None, {})
    sets = paired_bootstrap(paired, resamples=RESAMPLES, confidence=CONFIDENCE, seed=SEED)[1]
    averaged = [one for one in paired if one.name in shared]
    average = (
        paired_bootstrap(averaged, resamples=RESAMPLES, confidence=CONFIDENCE, seed=SEED)[0]
        if len(averaged) == len(shared) > 0
        else None
    )
    return ModelDifferences(average, {one.name: one for one in sets})


def relative(tuned: BenchmarkRun, full: BenchmarkRun, sets: tuple[str, ...]) -> float:
    """Rel. over the given sets as a share, 1: as good as the full tune; NaN where it is not defined."""
    if not sets:
        return math.nan
    percentage = relative_score(_only(tuned, sets), _only(full, sets))
    return math.nan if percentage is None else percentage / 100


def _only(run: BenchmarkRun, sets: tuple[str, ...]) -> pa.Table:
    return run.metrics.filter(pc.is_in(run.metrics["set"], pa.array(sets, pa.string())))
