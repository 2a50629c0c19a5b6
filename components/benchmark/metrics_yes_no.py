"""Yes/no questions: the share of right answers per question, the F1 of "yes" over a set."""

import re
from collections.abc import Sequence
from typing import Literal

_YES = frozenset({"yes", "yeah", "true"})
_NO = frozenset({"no", "not", "false"})
_WORD = re.compile(r"[^\W_]+")


def read_yes_no(text: str) -> Literal["yes", "no"] | None:
    """What an answer says: its first word that is one of yes, yeah, true, no, not, false; None without one."""
    for word in _WORD.findall(text.lower()):
        if word in _YES:
            return "yes"
        if word in _NO:
            return "no"
    return None


def yes_no_correctness(answer: str, references: Sequence[str]) -> float:
    """1 when the answer says what the first reference says, else 0; an answer that says neither is wrong.

    Raises:
        ValueError: the reference says neither.
    """
    return float(read_yes_no(answer) == _truth(references))


def yes_no_f1(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F1 of the answer "yes" over all questions of a set: 2 TP / (2 TP + FP + FN).

    An answer that says neither is not a yes: it misses where the truth is yes, and does no harm to F1 where it
    is no. A set without a yes among truths and answers has no F1; it scores 1 when every answer is right, else 0.

    Args:
        answers: `n` answers.
        references: the references of each, `n` lists.

    Returns:
        0 to 1, higher is better.
    """
    said = [read_yes_no(answer) for answer in answers]
    truths = [_truth(one) for one in references]
    true_positives = sum(a == t == "yes" for a, t in zip(said, truths, strict=True))
    positives = said.count("yes") + truths.count("yes")  # 2 TP + FP + FN
    if positives == 0:
        return float(said == truths)
    return 2 * true_positives / positives


def _truth(references: Sequence[str]) -> Literal["yes", "no"]:
    truth = read_yes_no(references[0])
    if truth is None:
        raise ValueError(f"reference {references[0]!r} is neither yes nor no; choose another metric for this set")
    return truth
