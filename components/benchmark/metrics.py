"""The metrics by name. A new one is a function, here or in a file of its own, and a line in `METRICS`."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from components.benchmark.judged import Judged, Metric, averaged
from components.benchmark.metrics_vqa import vqa_accuracy

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

ANLS_THRESHOLD = 0.5

_OUTER_PUNCTUATION = " \t\r\n.,;:!?\"'`()[]{}"
_YES = frozenset({"yes", "yeah", "true"})
_NO = frozenset({"no", "not", "false"})
_WORD = re.compile(r"[^\W_]+")
TOLERANCE = 0.05


def normalise_text(text: str) -> str:
    """Unicode NFKC, lower case, one blank between words, no punctuation at either end."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).lower()).strip(_OUTER_PUNCTUATION)


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 when the answer equals a reference after `normalise_text`, else 0.

    An answer of punctuation alone normalises to nothing and matches only a reference that does too.
    """
    return float(normalise_text(answer) in {normalise_text(reference) for reference in references})


def average_normalised_levenshtein_similarity(answer: str, references: Sequence[str]) -> float:
    """ANLS of one question (Biten et al., ICCV 2019): text read with small errors counts in part.

    `max over references of 1 - NL if NL < 0.5 else 0`, where NL is the edit distance over the length of the
    longer text; both in lower case with one blank between words.

    Returns:
        0 to 1, higher is better.
    """
    return max(_levenshtein_similarity(answer, reference) for reference in references)


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words (Lin 2004), the best over the references.

    Words are runs of a-z and 0-9 after lower-casing and are not stemmed; other scripts have none and score 0.

    Returns:
        0 to 1, higher is better.
    """
    scorer = _rouge_scorer()
    return max(float(scorer.score(reference, answer)["rougeL"].fmeasure) for reference in references)


def levenshtein_distance(first: str, second: str) -> int:
    """Insertions, deletions and substitutions of characters that turn one text into the other."""
    previous = list(range(len(second) + 1))
    for row, character in enumerate(first, start=1):
        current = [row]
        for column, other in enumerate(second, start=1):
            substitution = previous[column - 1] + (character != other)
            current.append(min(previous[column] + 1, current[-1] + 1, substitution))
        previous = current
    return previous[-1]


def _levenshtein_similarity(answer: str, reference: str) -> float:
    first, second = " ".join(answer.lower().split()), " ".join(reference.lower().split())
    longest = max(len(first), len(second))
    if longest == 0:
        return 1.0
    distance = levenshtein_distance(first, second) / longest
    return 1.0 - distance if distance < ANLS_THRESHOLD else 0.0


@lru_cache(maxsize=1)
def _rouge_scorer() -> "RougeScorer":
    # It brings NLTK, and the names of the metrics are read by every command.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False)


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


def relaxed_accuracy(answer: str, references: Sequence[str]) -> float:
    """1 when the answer is within 5 % of a reference number, else 0 (ChartQA, Masry et al. 2022).

    `|answer - reference| <= 0.05 |reference|` when both are numbers (thousands separators are allowed, 12 % is
    0.12), so a reference of 0 needs exactly 0; equal text without regard to case otherwise.

    Returns:
        0 or 1, the best over the references.
    """
    return float(any(_matches(answer, reference) for reference in references))


def read_number(text: str) -> float | None:
    """The number that a text is, or None; `12%` is 0.12."""
    text = text.strip().rstrip(".").replace(",", "").strip()
    share = text.endswith("%")
    try:
        number = float(text.rstrip("%"))
    except ValueError:
        return None
    # "nan" and "inf" are words here: they would compare in ways that no number does.
    if number - number != 0:
        return None
    return number / 100 if share else number


def _matches(answer: str, reference: str) -> bool:
    expected, given = read_number(reference), read_number(answer)
    if expected is None or given is None:
        return answer.strip().rstrip(".").lower() == reference.strip().rstrip(".").lower()
    # A hair more than the tolerance: 0.95 of 100 and the like are not exact in binary.
    return abs(given - expected) <= TOLERANCE * abs(expected) * (1 + 1e-9)


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
