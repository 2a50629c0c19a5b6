"""VQA accuracy: agreement with several people, after the VQA evaluation's normalisation."""

import re
from collections.abc import Sequence
from types import MappingProxyType

# Questions of VQA, TextVQA, VizWiz and others carry the answers of ten people.
ANNOTATORS = 10

_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER_WORDS = MappingProxyType({word: str(number) for number, word in enumerate(_COUNTED)} | {"none": "0"})
_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD_BEFORE_NO_DIGIT = re.compile(r"\.(?!\d)")
# "were", "shell", "ill" and the like are words of their own and stay as they are.
_WITH_APOSTROPHES = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
he'd've he's how'd how'll how's isn't it'd it'd've it'll let's ma'am might've mightn't mightn't've must've
mustn't needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd
somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've
something'll that'd that'd've that's there'd there'd've there're there's they'd they'd've they'll they're
they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've
who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll
y'all'd've you'd you'd've you'll you're you've
"""


def _spellings(contraction: str) -> list[str]:
    """The contraction with any of its apostrophes left out."""
    spellings = [""]
    for character in contraction:
        endings = ["'", ""] if character == "'" else [character]
        spellings = [spelling + ending for spelling in spellings for ending in endings]
    return spellings


_CONTRACTIONS = MappingProxyType(
    {spelling: contraction for contraction in _WITH_APOSTROPHES.split() for spelling in _spellings(contraction)}
)


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """Soft accuracy of one question (Antol et al., ICCV 2015).

    With ten references (one per person): the mean over all choices of nine of them of
    `min(1, persons among the nine who gave this answer / 3)`. With another number, references are taken as
    alternatives: 1 when one of them equals the answer, else 0. Both sides are normalised alike
    (`normalise_vqa_answer`).

    Returns:
        0 to 1, higher is better; with ten references 0.3, 0.6, 0.9 or 1 when 1, 2, 3 or more agree.
    """
    given = normalise_vqa_answer(answer)
    agreeing = sum(normalise_vqa_answer(reference) == given for reference in references)
    if len(references) != ANNOTATORS:
        return float(agreeing > 0)
    # Leaving out one who agrees (`agreeing` ways) or one who does not.
    without_one = agreeing * min(1.0, (agreeing - 1) / 3) if agreeing else 0.0
    return (without_one + (ANNOTATORS - agreeing) * min(1.0, agreeing / 3)) / ANNOTATORS


def normalise_vqa_answer(text: str) -> str:
    """Bring an answer into the form that the VQA evaluation compares.

    Lower case; punctuation removed where it stands next to a blank or the answer holds a number with a comma,
    else replaced by a blank; periods removed unless a digit follows; number words to digits; articles removed;
    apostrophes restored in contractions.
    """
    text = " ".join(text.lower().split())
    punctuated = text
    for mark in _PUNCTUATION:
        if f"{mark} " in text or f" {mark}" in text or _COMMA_IN_NUMBER.search(text):
            punctuated = punctuated.replace(mark, "")
        else:
            punctuated = punctuated.replace(mark, " ")
    words = [_NUMBER_WORDS.get(word, word) for word in _PERIOD_BEFORE_NO_DIGIT.sub("", punctuated).split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
