"""The metrics by name: each judges one answer, and a set of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from components.benchmark.metrics_number import relaxed_accuracy
from components.benchmark.metrics_text import average_normalised_levenshtein_similarity, exact_match, rouge_l
from components.benchmark.metrics_vqa import vqa_accuracy
from components.benchmark.metrics_yes_no import yes_no_correctness, yes_no_f1
from components.parameters.parameters import MetricName


@dataclass(frozen=True, slots=True)
class Metric:
    """How answers are judged; all scores are 0 to 1, higher is better.

    Attributes:
        question_score: of one answer, from the answer and its references (at least one).
        set_score: of a set, from its answers and their references; None: the mean of the question scores.
    """

    question_score: Callable[[str, Sequence[str]], float]
    set_score: Callable[[Sequence[str], Sequence[Sequence[str]]], float] | None = None


METRICS: Mapping[MetricName, Metric] = MappingProxyType(
    {
        "exact_match": Metric(exact_match),
        "vqa_accuracy": Metric(vqa_accuracy),
        "yes_no_f1": Metric(yes_no_correctness, yes_no_f1),
        "relaxed_accuracy": Metric(relaxed_accuracy),
        "anls": Metric(average_normalised_levenshtein_similarity),
        "rouge_l": Metric(rouge_l),
    }
)


def score_questions(
    metric: MetricName, answers: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[list[float], float]:
    """Judge a set of answers.

    Args:
        metric: a name of `METRICS`.
        answers: `n` answers, at least one.
        references: the references of each, `n` non-empty lists.

    Returns:
        The score of each question and the score of the set.

    Raises:
        ValueError: no answer, or a question without a reference.
    """
    if not answers:
        raise ValueError("a set without an answer has no score")
    for number, one in enumerate(references):
        if not one:
            raise ValueError(f"question {number} has no reference answer")
    judge = METRICS[metric]
    scores = [judge.question_score(answer, one) for answer, one in zip(answers, references, strict=True)]
    if judge.set_score is not None:
        return scores, judge.set_score(answers, references)
    return scores, sum(scores) / len(scores)
