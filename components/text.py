"""Amounts of money, sizes and tables as a person reads them in plain text."""

import math
from collections.abc import Sequence

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def dollars(value: float) -> str:
    """An amount of money; of fractions of a cent two digits are kept, large amounts are rounded to the dollar."""
    if 0 < value < 0.01:
        return f"${value:.{max(4, 1 - math.floor(math.log10(value)))}f}"
    return f"${value:,.2f}" if value < 10_000 else f"${value:,.0f}"


def shortened(name: str, longest: int = 60) -> str:
    """A name as people read it: of a long one its beginning and its end, which tell the names of a pool apart."""
    if len(name) <= longest:
        return name
    end = longest // 3
    return f"{name[: longest - end - 3]}...{name[-end:]}"


def bytes_in_words(size: int) -> str:
    """A size in bytes, in the unit that leaves the fewest digits; kB, MB and GB are powers of 1,000."""
    for limit, unit in _UNITS:
        if size >= limit:
            return f"{size / limit:,.1f} {unit}"
    return f"{size} B"


def aligned_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows of equal length out in columns: the first, a name, to the left, the others to the right."""
    rows = [(shortened(row[0]), *row[1:]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]))
    return lines
