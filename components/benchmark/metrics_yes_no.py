"""Yes/no questions: the F1 of "yes" over a set."""

import re
from collections.abc import Sequence
from typing import Literal

from components.benchmark.judged import Judged

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


def yes_no_f1(answer: str, references: Sequence[str]) -> Judged:
    """F1 of the answer "yes" over all questions of a set: 2 TP / (2 TP + FP + FN).

    An answer that says neither is not a yes: it misses where the truth is yes, and does no harm to F1 where it
    is no.

    Args:
        answer: of the model.
        references: the truth is what the first one says.

    Returns:
        Score 1 when the answer says what the reference says, else 0 (also when it says neither); 2 for a true
        positive over how many of answer and truth say yes.

    Raises:
        ValueError: the reference says neither.
    """
    said, truth = read_yes_no(answer), read_yes_no(references[0])
    if truth is None:
        raise ValueError(f"reference {references[0]!r} is neither yes nor no; choose another metric for this set")
    positives = (said == "yes") + (truth == "yes")
    return Judged(float(said == truth), 2.0 * (said == truth == "yes"), float(positives))
