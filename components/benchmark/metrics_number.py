"""Relaxed accuracy: numbers read off a chart need not be exact."""

from collections.abc import Sequence

TOLERANCE = 0.05


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
