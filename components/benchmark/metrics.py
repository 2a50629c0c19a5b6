"""The metrics by name. A new one is a function in a file of its own and a line in `METRICS`."""

from collections.abc import Sequence

from components.benchmark.judged import Judged, Metric, averaged
from components.benchmark.metrics_number import relaxed_accuracy
from components.benchmark.metrics_text import average_normalised_levenshtein_similarity, exact_match, rouge_l
from components.benchmark.metrics_vqa import vqa_accuracy
from components.benchmark.metrics_yes_no import yes_no_f1

METRICS: dict[str, Metric] = {
    "exact_match": averaged(exact_match),
    "vqa_accuracy": averaged(vqa_accuracy),
    "yes_no_f1": yes_no_f1,
    "relaxed_accuracy": averaged(relaxed_accuracy),
    "anls": averaged(average_normalised_levenshtein_similarity),
    "rouge_l": averaged(rouge_l),
}


def judge_answers(metric: str, answers: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Judged, ...]:
    """Judge answers.

    Args:
        metric: a name of `METRICS`.
        answers: `n` answers.
        references: the references of each, `n` non-empty lists.

    Returns:
        `n` judgements; `components.benchmark.judged.set_score` makes one number of them.

    Raises:
        ValueError: a question without a reference.
    """
    for number, one in enumerate(references):
        if not one:
            raise ValueError(f"question {number} has no reference answer")
    judge = METRICS[metric]
    return tuple(judge(answer, one) for answer, one in zip(answers, references, strict=True))
