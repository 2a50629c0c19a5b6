"""The gate: whether a challenger becomes champion, and why (not)."""

import math
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from components.benchmark.metrics import METRICS
from components.benchmark.paired_comparison import (
    RESAMPLES,
    PairedAnswers,
    ScoreDifference,
    pair_answers,
    paired_bootstrap,
    questions_of,
)
from components.errors import UserError
from components.parameters.parameters import PromotionParameters

# Of a set's questions. A pool that grows takes a benchmark's image now and then, which is then not asked any more.
LEAST_COMMON_SHARE = 0.9
Outcome = Literal["first", "better", "not_better", "task_lost", "not_comparable", "is_champion", "forced"]
# With fewer, resampling sees too little of what the questions could have been.
LEAST_RECORDS = 10
PROMOTING: frozenset[Outcome] = frozenset({"first", "better", "forced"})


class NotComparableError(UserError, ValueError):
    """Two models were benchmarked on different questions, so their scores say nothing about each other."""


@dataclass(frozen=True, slots=True)
class BenchmarkedModel:
    """What a model answered.

    Attributes:
        version: of the registered model.
        predictions: columns of `components.schemas.PREDICTIONS`.
        metrics: columns of `components.schemas.METRICS`.
    """

    version: str
    predictions: pa.Table
    metrics: pa.Table


def comparable_answers(challenger: BenchmarkedModel, champion: BenchmarkedModel) -> tuple[PairedAnswers, ...]:
    """Put both models' answers side by side, set by set: those to the questions that both were asked.

    Args:
        challenger: a model.
        champion: another.

    Returns:
        One for every set that has a question, the challenger first.

    Raises:
        NotComparableError: the sets or their metrics differ, a metric is not known, or more than a tenth of a set's
            questions (or of their reference answers) do; the message counts them.
    """
    metric_of, other_metric_of = _metrics(challenger), _metrics(champion)
    if metric_of != other_metric_of:
        raise NotComparableError(
            f"version {challenger.version} was measured on {_named(metric_of)}, "
            f"version {champion.version} on {_named(other_metric_of)}"
        )
    unknown = {name: metric for name, metric in metric_of.items() if metric not in METRICS}
    if unknown:
        raise NotComparableError(f"both were measured on {_named(unknown)}; known are {', '.join(METRICS)}")
    asked, other_asked = questions_of(challenger.predictions), questions_of(champion.predictions)
    if not asked or not other_asked:
        raise NotComparableError(f"version {(champion if asked else challenger).version} answered no question")
    for name in sorted(metric_of):
        sides = (asked & other_asked, asked, other_asked)
        shared, own, others = (sum(question[0] == name for question in side) for side in sides)
        if shared < LEAST_COMMON_SHARE * max(own, others):
            raise NotComparableError(
                f"of set {name}, version {challenger.version} answered {own - shared:,} questions that version "
                f"{champion.version} did not, and {others - shared:,} the other way round; only {shared:,} are "
                "the same"
            )
    return pair_answers(challenger.predictions, champion.predictions, metric_of=metric_of)


def _metrics(model: BenchmarkedModel) -> dict[str, str]:
    return dict(zip(model.metrics["set"].to_pylist(), model.metrics["metric"].to_pylist(), strict=True))


def _named(metric_of: dict[str, str]) -> str:
    return ", ".join(f"{name} ({metric})" for name, metric in sorted(metric_of.items())) or "no set"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Attributes:
        version: the challenger.
        champion: the version it was held against; empty without one.
        outcome: `first`: there was no champion; `better`; `not_better`: no gain was shown; `task_lost`: better on
            average, but too much lost on a set; `not_comparable`: other questions; `is_champion`: it is that one;
            `forced`: a person's word.
        reason: why, in one sentence.
        average: over all sets; None where nothing was compared.
        sets: every benchmark set by name.
    """

    version: str
    champion: str
    outcome: Outcome
    reason: str
    average: ScoreDifference | None = None
    sets: tuple[ScoreDifference, ...] = ()

    @property
    def promotes(self) -> bool:
        """Whether the challenger is to become champion."""
        return self.outcome in PROMOTING


def judge_challenger(
    challenger: BenchmarkedModel, champion: BenchmarkedModel | None, *, promotion: PromotionParameters, seed: int
) -> Verdict:
    """Hold a challenger against the champion.

    It is promoted when the interval of the average difference lies above zero and no set lost more than is tolerated.
    A loss counts as it was measured: on a small set that may be chance, and a person can then force the promotion.

    Args:
        challenger: the new model.
        champion: the one in use; None: there is none yet.
        promotion: how sure, how much may be lost.
        seed: of the resamples.

    Returns:
        The verdict.
    """
    if champion is None:
        return Verdict(challenger.version, "", "first", "it is the first: there was no champion")
    if challenger.version == champion.version:
        return Verdict(challenger.version, champion.version, "is_champion", "it is the champion already")
    try:
        paired = comparable_answers(challenger, champion)
    except NotComparableError as error:
        reason = f"the two cannot be compared: {error}"
        return Verdict(challenger.version, champion.version, "not_comparable", reason)
    records = sum(len(one.first) for one in paired)
    if records < LEAST_RECORDS:
        reason = f"{records} records were answered by both, and a comparison of fewer than {LEAST_RECORDS} is chance"
        return Verdict(challenger.version, champion.version, "not_comparable", reason)
    average, sets = paired_bootstrap(paired, resamples=RESAMPLES, confidence=promotion.confidence, seed=seed)
    outcome, reason = judge_differences(average, sets, promotion)
    common = sum(one.questions for one in paired)
    asked = max(challenger.predictions.num_rows, champion.predictions.num_rows)
    if common < asked:
        reason += f"; on the {common:,} questions that both were asked, of {asked:,}"
    return Verdict(challenger.version, champion.version, outcome, reason, average, sets)


def judge_differences(
    average: ScoreDifference, sets: tuple[ScoreDifference, ...], promotion: PromotionParameters
) -> tuple[Outcome, str]:
    """Say what differences of scores mean for the challenger, and why.

    Args:
        average: over all sets.
        sets: every set.
        promotion: how much may be lost.
    """
    if not all(math.isfinite(value) for one in (average, *sets) for value in (one.difference, one.low, one.high)):
        return "not_comparable", "a score is no number; look at the benchmark's predictions"
    shown = f"{points(average.difference)} points on average ({points(average.low)} to {points(average.high)})"
    if average.low <= 0:
        return "not_better", f"{shown}: no gain at {promotion.confidence:.0%} confidence"
    lost = [one for one in sets if one.difference < -promotion.tolerated_loss]
    if lost:
        named = ", ".join(f"{one.name} {points(one.difference)}" for one in lost)
        allowed = 100 * promotion.tolerated_loss
        return "task_lost", f"{shown}, but more than {allowed:g} points were lost on {named}"
    return "better", shown


def points(difference: float) -> str:
    """A difference of scores in points of 100, with its sign."""
    return f"{100 * difference:+.1f}"
