"""The scores of a run's models, and how far the tuned one is from the others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.benchmark.paired_comparison import (
    RESAMPLES,
    PairedAnswers,
    ScoreDifference,
    pair_answers,
    paired_bootstrap,
)
from components.benchmark.relative import average_score, relative_score
from components.report.inputs import BenchmarkRun

CONFIDENCE = 0.95
SEED = 0  # the same answers give the same page
AVERAGE = ""  # no set is called that
ORDER = ("base", "random", "tuned", "full")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One benchmark set, or the average over several. Scores are 0 to 1, higher is better.

    Attributes:
        name: of the set.
        metric: how answers are judged; empty for an average.
        scores: per model, NaN without one.
        questions: questions that the tuned model was judged on.
        left_out: questions left out because their image is in the pool.
        over_base: tuned minus base, None where one of them has no score.
        over_random: tuned minus random control.
        relative: Rel., tuned over full as a share (the mean of the sets' ratios); NaN where it is not defined.
    """

    name: str
    metric: str
    scores: tuple[float, ...]
    questions: int
    left_out: int
    over_base: ScoreDifference | None
    over_random: ScoreDifference | None
    relative: float


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """All models on all sets.

    Attributes:
        models: those that were measured, in the order of the bars.
        sets: every set.
        average: over the sets that all models have a score for; None without such a set.
        averaged: how many sets those are.
    """

    models: tuple[str, ...]
    sets: tuple[ScoreRow, ...]
    average: ScoreRow | None
    averaged: int

    def mean_of(self, model: str) -> float:
        """The model's average, 0 to 1; NaN without one."""
        if self.average is None or model not in self.models:
            return math.nan
        return self.average.scores[self.models.index(model)]


def benchmark_scores(runs: tuple[BenchmarkRun, ...]) -> BenchmarkScores:
    """Put the models' scores side by side; a run without a set is left out."""
    measured = sorted(
        (run for run in runs if run.metrics.num_rows),
        key=lambda run: (ORDER.index(run.name) if run.name in ORDER else len(ORDER), run.name),
    )
    by_name = {run.name: run for run in measured}
    names = list(dict.fromkeys(name for run in measured for name in run.metrics["set"].to_pylist()))
    shared = tuple(name for name in names if all(name in finite_scores(run) for run in measured))
    gaps = {other: differences(by_name.get("tuned"), by_name.get(other), shared) for other in ("base", "random")}

    def row(name: str, sets: tuple[str, ...]) -> ScoreRow:
        tables = {run.name: _only(run, sets) for run in measured}
        counted = tables.get("tuned", tables[measured[0].name])
        return ScoreRow(
            name=name,
            metric=", ".join(sorted(set(counted["metric"].to_pylist()))) if name in sets else "",
            scores=tuple(
                average_score(tables[run.name]) if set(sets) <= finite_scores(run).keys() else math.nan
                for run in measured
            ),
            questions=sum(counted["questions"].to_pylist()),
            left_out=sum(counted["left_out"].to_pylist()),
            over_base=gaps["base"].get(name),
            over_random=gaps["random"].get(name),
            relative=_relative(tables.get("tuned"), tables.get("full"), len(sets)),
        )

    return BenchmarkScores(
        models=tuple(by_name),
        sets=tuple(row(name, (name,)) for name in names),
        average=row(AVERAGE, shared) if shared else None,
        averaged=len(shared),
    )


def differences(
    first: BenchmarkRun | None, second: BenchmarkRun | None, averaged: tuple[str, ...]
) -> Mapping[str, ScoreDifference]:
    """Compare two models on the questions that both were asked, as the promotion gate does.

    Args:
        first: a run; positive differences mean that it is better. None: it was not measured.
        second: another run.
        averaged: sets that the average is taken over; it is left out where they do not both have them.

    Returns:
        By set, those that both have a score for, and by `AVERAGE`; with 95 % intervals.
    """
    if first is None or second is None:
        return {}
    both = finite_scores(first).keys() & finite_scores(second).keys()
    metric_of = dict(zip(first.metrics["set"].to_pylist(), first.metrics["metric"].to_pylist(), strict=True))
    paired = pair_answers(first.predictions, second.predictions, metric_of={name: metric_of[name] for name in both})
    if not paired:
        return {}
    average, sets = _compared(paired)
    found = {one.name: one for one in sets}
    own = [one for one in paired if one.name in averaged]
    if not own or len(own) < len(averaged):
        return found
    return found | {AVERAGE: average if len(own) == len(paired) else _compared(own)[0]}


def _compared(paired: Sequence[PairedAnswers]) -> tuple[ScoreDifference, tuple[ScoreDifference, ...]]:
    return paired_bootstrap(paired, resamples=RESAMPLES, confidence=CONFIDENCE, seed=SEED)


def find_run(runs: tuple[BenchmarkRun, ...], name: str) -> BenchmarkRun | None:
    """The run of that model, None where it has none or no set was measured."""
    return next((run for run in runs if run.name == name and run.metrics.num_rows), None)


def finite_scores(run: BenchmarkRun) -> dict[str, float]:
    """Score per set; sets that have no finite score are left out."""
    pairs = zip(run.metrics["set"].to_pylist(), run.metrics["score"].to_pylist(), strict=True)
    return {name: float(score) for name, score in pairs if score is not None and math.isfinite(score)}


def _relative(tuned: pa.Table | None, full: pa.Table | None, sets: int) -> float:
    if tuned is None or full is None or not tuned.num_rows == full.num_rows == sets:
        return math.nan
    percentage = relative_score(tuned, full)
    return math.nan if percentage is None else percentage / 100


def _only(run: BenchmarkRun, sets: tuple[str, ...]) -> pa.Table:
    return run.metrics.filter(pc.is_in(run.metrics["set"], pa.array(sets, pa.string())))
