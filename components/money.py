"""Amounts of money as a person reads them."""


def dollars(value: float) -> str:
    """An amount of money; fractions of a cent are kept, large amounts are rounded to the dollar."""
    if 0 < value < 0.01:
        return f"${value:.4f}"
    return f"${value:,.2f}" if value < 10_000 else f"${value:,.0f}"
