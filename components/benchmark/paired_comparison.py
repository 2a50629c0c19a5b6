"""How far two models are apart on the same questions, and how much of that the choice of questions explains."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.benchmark.judged import Judged
from components.benchmark.metrics import judge_answers

Question = tuple[str, str, int, str, str]  # set, record, turn, question, references
_DRAWS_PER_BLOCK = 2**22  # record numbers in memory at a time
# Of the bootstrap: the ends of an interval then move by about 1 % of its width from seed to seed.
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class PairedAnswers:
    """What the scores of two models on one benchmark set are made of, record by record.

    Questions about one record belong together, because they are not independent.

    Attributes:
        name: of the set.
        questions: how many.
        first: `(n, 3)` float64, of each of `n` records the sums over its questions of numerator, denominator and
            1 - score (`components.benchmark.judged.Judged`).
        second: `(n, 3)` float64, of the same records.
    """

    name: str
    questions: int
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.first.shape != self.second.shape or self.first.shape[1:] != (3,) or not len(self.first):
            raise ValueError(
                f"set {self.name!r}: both models need (n, 3) numbers of the same n >= 1 records, got "
                f"{self.first.shape} and {self.second.shape}"
            )


def questions_of(predictions: pa.Table) -> frozenset[Question]:
    """The questions that a model answered.

    Args:
        predictions: columns of `components.schemas.PREDICTIONS`.
    """
    return frozenset(_by_question(predictions))


def pair_answers(first: pa.Table, second: pa.Table, *, metric_of: Mapping[str, str]) -> tuple[PairedAnswers, ...]:
    """Put both models' answers to the questions that both were asked side by side, set by set.

    Answers are judged here, not read as they were judged when they were given: both by the metric as it is now,
    whatever version of it wrote either table.

    Args:
        first: a model's answers, columns of `components.schemas.PREDICTIONS`.
        second: another's.
        metric_of: names of `components.benchmark.metrics.METRICS` by set; other sets are left out.

    Returns:
        By set, in the order of their names; those without a common question are left out.
    """
    rows, other_rows = _by_question(first), _by_question(second)
    common = sorted(rows.keys() & other_rows.keys())
    paired = []
    for name in sorted(metric_of):
        questions = [question for question in common if question[0] == name]
        if questions:
            records = np.unique([record for _, record, *_ in questions], return_inverse=True)[1]
            sides = (_summed(_judged(side, questions, metric_of[name]), records) for side in (rows, other_rows))
            paired.append(PairedAnswers(name, len(questions), *sides))
    return tuple(paired)


def _judged(rows: Mapping[Question, dict[str, Any]], questions: list[Question], metric: str) -> tuple[Judged, ...]:
    asked = [rows[question] for question in questions]
    return judge_answers(metric, [row["prediction"] for row in asked], [row["references"] for row in asked])


def _summed(judged: tuple[Judged, ...], records: NDArray[np.intp]) -> NDArray[np.float64]:
    parts = np.array([(one.numerator, one.denominator, 1 - one.score) for one in judged], dtype=np.float64)
    summed = np.zeros((int(records.max()) + 1, 3))
    np.add.at(summed, records, parts)
    return summed


def _by_question(predictions: pa.Table) -> dict[Question, dict[str, Any]]:
    return {
        (row["set"], row["record_id"], row["turn"], row["question"], json.dumps(row["references"])): row
        for row in predictions.to_pylist()
    }


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """One benchmark set, or the average of all.

    Attributes:
        name: of the set; `average` for all of them.
        questions: how many.
        first: score of the first model, 0 to 1, higher is better.
        second: score of the second.
        difference: first minus second, -1 to 1; positive: the first is better.
        low: lower end of its interval over the choice of questions.
        high: upper end.
    """

    name: str
    questions: int
    first: float
    second: float
    difference: float
    low: float
    high: float


def paired_bootstrap(
    sets: Sequence[PairedAnswers], *, resamples: int, confidence: float, seed: int
) -> tuple[ScoreDifference, tuple[ScoreDifference, ...]]:
    """Compare two models by drawing the records of every set again, with replacement, for both models alike.

    The interval says what another draw of questions would do, not what another training seed would.

    Args:
        sets: at least one; their order does not matter.
        resamples: how often.
        confidence: share of the resamples between the ends of an interval, half of the rest on either side.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        The difference of the plain means over the sets, and that of every set by name.

    Raises:
        ValueError: no set.
    """
    if not sets:
        raise ValueError("two models can only be compared on at least one benchmark set")
    generator = np.random.default_rng(seed)
    ordered = sorted(sets, key=lambda one: one.name)
    drawn = np.stack([_resampled_differences(one, resamples, generator) for one in ordered])  # (sets, resamples)
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    by_set = []
    for one, differences in zip(ordered, drawn, strict=True):
        first, second = (float(_ratio(side.sum(axis=0))) for side in (one.first, one.second))
        low, high = np.quantile(differences, ends)
        by_set.append(ScoreDifference(one.name, one.questions, first, second, first - second, float(low), float(high)))
    low, high = np.quantile(drawn.mean(axis=0), ends)
    average = ScoreDifference(
        name="average",
        questions=sum(one.questions for one in by_set),
        first=float(np.mean([one.first for one in by_set])),
        second=float(np.mean([one.second for one in by_set])),
        difference=float(np.mean([one.difference for one in by_set])),
        low=float(low),
        high=float(high),
    )
    return average, tuple(by_set)


def _resampled_differences(
    answers: PairedAnswers, resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """First minus second in every resample, `(resamples,)`."""
    records = len(answers.first)
    both = np.concatenate([answers.first, answers.second], axis=1)  # (n, 6)
    block = max(1, _DRAWS_PER_BLOCK // records)
    parts = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(records, size=(rows, records)) + records * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * records).reshape(rows, records)  # that a record was drawn
        sums = times @ both  # (rows, 6)
        parts.append(_ratio(sums[:, :3]) - _ratio(sums[:, 3:]))
    return np.concatenate(parts)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores `(...,)` of sums `(..., 3)` of `PairedAnswers`, formed as `components.benchmark.judged.set_score` does."""
    numerator, denominator, missed = np.moveaxis(sums, -1, 0)
    scored = denominator > 0
    scores: NDArray[np.float64] = np.where(scored, numerator / np.where(scored, denominator, 1.0), missed == 0)
    return scores
