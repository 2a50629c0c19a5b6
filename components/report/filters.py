"""Numbers as a person reads them, and the templates that write them so."""

import math
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, FunctionLoader, StrictUndefined

from components.text import dollars

MINUS = "\u2212"
NO_BREAK = "\u202f"
NOTHING = "\u2013"


def count(value: float) -> str:
    """`1234567` as `1,234,567`."""
    return f"{round(value):,}"


def quantity(value: int, noun: str, plural: str = "") -> str:
    """`1 image`, `1,200 images`."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """A share from 0 to 1 as per cent; tiny but present shares are not shown as nothing."""
    if not math.isfinite(share):
        return NOTHING
    smallest = 10.0 ** -(digits + 2)
    if 0 < share < smallest / 2:
        return f"< {100 * smallest:.{digits}f}{NO_BREAK}%"
    return f"{100 * share:.{digits}f}{NO_BREAK}%"


def points(score: float) -> str:
    """A score from 0 to 1 on the scale of 0 to 100."""
    return f"{100 * score:.1f}" if math.isfinite(score) else NOTHING


def signed_points(difference: float) -> str:
    """A difference of two scores in points, with its sign."""
    if not math.isfinite(difference):
        return NOTHING
    text = f"{abs(100 * difference):.1f}"
    if float(text) == 0:
        return text
    return f"{'+' if difference > 0 else MINUS}{text}"


def decimal(value: float, digits: int = 3) -> str:
    """A plain decimal with a real minus sign; a dash where there is no number."""
    if not math.isfinite(value):
        return NOTHING
    return f"{value:,.{digits}f}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """Seconds as `4.2 s`, `3 min 05 s` or `2 h 10 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def price(usd: float) -> str:
    """Dollars to the cent, or as exact as they are given."""
    text = f"{usd:.2f}"
    return f"${text}" if float(text) == usd else f"${usd:g}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def is_number(value: float) -> bool:
    """Whether there is a number to show: neither None nor NaN nor infinite."""
    return value is not None and math.isfinite(value)


def template_environment() -> Environment:
    """Jinja as all pages use it: what a template is given is escaped, and a name that it is not given is an error.

    Templates are found by their names in this folder, and a strategy's by their paths.
    """
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(Path(__file__).parent), FunctionLoader(_read_template)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (count, quantity, percent, points, signed_points, decimal, duration, price, listed, dollars):
        environment.filters[function.__name__] = function
    environment.tests["number"] = is_number
    return environment


def _read_template(path: str) -> str | None:
    file = Path(path)
    return file.read_text(encoding="utf-8") if file.is_absolute() and file.is_file() else None
