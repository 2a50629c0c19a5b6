"""One thing that is not what it was recorded to be."""

from dataclasses import dataclass

LOST = "nothing"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What a check found.

    Attributes:
        check: which check.
        name: of what: a file, a sample, a request.
        expected: what the record says.
        found: what is there.
    """

    check: str
    name: str
    expected: str
    found: str
