"""Exact match, ANLS and ROUGE-L: how close an answer's text is to a reference."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

ANLS_THRESHOLD = 0.5

_OUTER_PUNCTUATION = " \t\r\n.,;:!?\"'`()[]{}"


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
