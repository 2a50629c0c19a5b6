"""How far two models are apart on the same questions, and how much of that the choice of questions explains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DRAWS_PER_BLOCK = 2**22  # record numbers in memory at a time


@dataclass(frozen=True, slots=True)
class PairedScores:
    """What the scores of two models on one benchmark set are made of, record by record.

    A model's score on the set is the sum of its numerators over that of its denominators: scores and ones for a metric
    that is the mean over questions, `2 TP` and `2 TP + FP + FN` for F1. Questions about one record belong together,
    because they are not independent.

    Attributes:
        name: of the set.
        questions: how many.
        challenger: `(n, 2)` float64, numerator and denominator of each of `n` records.
        champion: `(n, 2)` float64, of the same records.
    """

    name: str
    questions: int
    challenger: NDArray[np.float64]
    champion: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.challenger.shape != self.champion.shape or self.challenger.ndim != 2 or not len(self.challenger):
            raise ValueError(
                f"set {self.name!r}: both models need (n, 2) numbers of the same n >= 1 records, got "
                f"{self.challenger.shape} and {self.champion.shape}"
            )


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """One benchmark set, or the average of all.

    Attributes:
        name: of the set; `average` for all of them.
        questions: how many.
        challenger: score, 0 to 1, higher is better.
        champion: score, 0 to 1, higher is better.
        difference: challenger minus champion, -1 to 1; positive: the challenger is better.
        low: lower end of its interval over the choice of questions.
        high: upper end.
    """

    name: str
    questions: int
    challenger: float
    champion: float
    difference: float
    low: float
    high: float


def paired_bootstrap(
    sets: Sequence[PairedScores], *, resamples: int, confidence: float, seed: int
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
        challenger, champion = (float(_ratio(side.sum(axis=0))) for side in (one.challenger, one.champion))
        low, high = np.quantile(differences, ends)
        by_set.append(
            ScoreDifference(
                one.name, one.questions, challenger, champion, challenger - champion, float(low), float(high)
            )
        )
    low, high = np.quantile(drawn.mean(axis=0), ends)
    average = ScoreDifference(
        name="average",
        questions=sum(one.questions for one in by_set),
        challenger=float(np.mean([one.challenger for one in by_set])),
        champion=float(np.mean([one.champion for one in by_set])),
        difference=float(np.mean([one.difference for one in by_set])),
        low=float(low),
        high=float(high),
    )
    return average, tuple(by_set)


def _resampled_differences(scores: PairedScores, resamples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Challenger minus champion in every resample, `(resamples,)`."""
    records = len(scores.challenger)
    both = np.concatenate([scores.challenger, scores.champion], axis=1)  # (n, 4)
    block = max(1, _DRAWS_PER_BLOCK // records)
    parts = []
    for start in range(0, resamples, block):
        drawn = generator.integers(records, size=(min(block, resamples - start), records))
        sums = np.stack([column[drawn].sum(axis=1) for column in both.T], axis=1)  # (block, 4)
        parts.append(_ratio(sums[:, :2]) - _ratio(sums[:, 2:]))
    return np.concatenate(parts)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores `(...,)` of sums `(..., 2)`.

    A draw without a single yes among truths and answers has no F1; it counts as 1, all answers right.
    """
    ones = np.ones(sums.shape[:-1])
    return np.divide(sums[..., 0], sums[..., 1], out=ones, where=sums[..., 1] > 0)
