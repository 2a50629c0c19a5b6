"""Amounts of money as a person reads them."""

import math


def dollars(value: float) -> str:
    """An amount of money; of fractions of a cent two digits are kept, large amounts are rounded to the dollar."""
    if 0 < value < 0.01:
        return f"${value:.{max(4, 1 - math.floor(math.log10(value)))}f}"
    return f"${value:,.2f}" if value < 10_000 else f"${value:,.0f}"
