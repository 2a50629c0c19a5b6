"""What a metric says of one answer, and how a set's score is formed from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

QuestionScore = Callable[[str, Sequence[str]], float]


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer.

    The score of a set is the sum of its numerators over the sum of its denominators. Whoever resamples questions needs
    to know no more than that.

    Attributes:
        score: of this answer by itself, 0 to 1, higher is better.
        numerator: what it adds to the numerator of its set's score, at least 0.
        denominator: what it adds to the denominator, at least 0.
    """

    score: float
    numerator: float
    denominator: float


Metric = Callable[[str, Sequence[str]], Judged]  # of an answer and its references, at least one


def averaged(question_score: QuestionScore) -> Metric:
    """The metric whose score of a set is the mean of its questions' scores."""

    def judge(answer: str, references: Sequence[str]) -> Judged:
        score = question_score(answer, references)
        return Judged(score, score, 1.0)

    return judge


def set_score(judged: Sequence[Judged]) -> float:
    """The score of a set, 0 to 1, higher is better: `sum of numerators / sum of denominators`.

    Where all denominators are 0 (F1 of a set without a yes among truths and answers) it is 1 when every answer is
    right, else 0.

    Args:
        judged: its answers, at least one.
    """
    denominator = sum(one.denominator for one in judged)
    if denominator > 0:
        return sum(one.numerator for one in judged) / denominator
    return float(all(one.score == 1 for one in judged))
