"""How far two models are apart on the same questions, and how much of that the choice of questions explains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.benchmark.paired_answers import PairedAnswers

_DRAWS_PER_BLOCK = 2**22  # record numbers in memory at a time

# Of the bootstrap: the ends of an interval then move by about 1 % of its width from seed to seed.
RESAMPLES = 10_000


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
