"""Numbers to SVG coordinates. The drawing itself is in `charts.html`, where every text is escaped."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place from 0 to 100 and its label."""

    position: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from `low` to `high`.

    Attributes:
        low: value at place 0.
        high: value at place 100.
        ticks: the marks.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """The value's place from 0 to 100; values outside are put at the nearer end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


def linear_axis(low: float, high: float, *, ticks: int = 5) -> Axis:
    """An axis that covers `low` to `high`, ending at round numbers.

    Args:
        low: smallest value.
        high: largest value; where it is not above `low`, to nine digits, the axis is one unit long.
        ticks: about how many marks.

    Returns:
        The axis.
    """
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):
        high = low + 1.0
    raw = (high - low) / max(ticks, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if step * 10**digits % 1 > 1e-6:
        digits += 1
    bottom, top = first * step, last * step
    marks = tuple(
        Tick(round(100 * (index - first) / (last - first), 2), f"{index * step:,.{digits}f}")
        for index in range(first, last + 1)
    )
    return Axis(bottom, top, marks)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar.

    Attributes:
        name: what it is.
        number: how many that are.
        share: of all parts, 0 to 1.
        start: where it begins, 0 to 100.
    """

    name: str
    number: int
    share: float
    start: float

    @property
    def width(self) -> float:
        """How wide it is, 0 to 100."""
        return round(100 * self.share, 2)


def stacked(numbers: Iterable[tuple[str, int]]) -> tuple[Part, ...]:
    """Numbers as the parts of one bar; no bar where their sum is 0."""
    pairs = list(numbers)
    total = sum(number for _, number in pairs)
    if not total:
        return ()
    parts, before = [], 0
    for name, number in pairs:
        parts.append(Part(name, number, number / total, round(100 * before / total, 2)))
        before += number
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread: their mean and quantiles, in their own unit."""

    mean: float
    tenth: float
    quarter: float
    three_quarters: float
    ninetieth: float


def spread_of(values: NDArray[np.floating], mean: float) -> Spread:
    """The spread of the finite values; all at the mean where there are none."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Spread(mean, mean, mean, mean, mean)
    return Spread(mean, *(float(value) for value in np.quantile(finite, (0.1, 0.25, 0.75, 0.9))))


def line_path(places: Iterable[tuple[float, float]]) -> str:
    """An SVG path through the places."""
    return "M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in places)


def dot_path(places: Iterable[tuple[int, int]]) -> str:
    """An SVG path of points without length: a stroke with round or square caps draws each as a dot."""
    return "".join(f"M{x} {y}h0" for x, y in places)


def evenly_spaced(count: int, wanted: int) -> Sequence[int]:
    """Indices spread over `range(count)`, first and last included; all of them if there are no more."""
    if count <= wanted:
        return range(count)
    if wanted == 1:
        return [0]
    return [round(index * (count - 1) / (wanted - 1)) for index in range(wanted)]
