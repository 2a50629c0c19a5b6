"""Whether the scores of two models can be held against each other: they must have been asked the same."""

from dataclasses import dataclass

import pyarrow as pa

from components.benchmark.metrics import METRICS
from components.benchmark.paired_answers import PairedAnswers, pair_answers, questions_of
from components.errors import UserError

# Of a set's questions. A pool that grows takes a benchmark's image now and then, which is then not asked any more.
LEAST_COMMON_SHARE = 0.9


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
