"""What a strategy reaches against the instructions it needs: the chart's places and labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.report.geometry import Axis, linear_axis

LABEL_HEIGHT = 9.0  # least distance of two labels on one side, 0 to 100 along the upright axis


@dataclass(frozen=True, slots=True)
class Need:
    """What one strategy needs and reaches.

    Attributes:
        strategy: its name.
        instructions: needed, mean over the seeds.
        averages: benchmark average of every seed, 0 to 1; one at least.
        average: their mean.
    """

    strategy: str
    instructions: float
    averages: tuple[float, ...]
    average: float


@dataclass(frozen=True, slots=True)
class NeedPoint:
    """One strategy on the chart; places are 0 to 100 from the left and from the top.

    Attributes:
        strategy: its name.
        colour: index of its colour.
        x: place of its instructions.
        y: place of its mean.
        seeds: places of the single seeds.
        label: place of the label's middle, which may be moved off `y` to leave room for others.
        on_left: the label stands to the left of the dot.
        instructions: needed.
        average: benchmark average, 0 to 1.
    """

    strategy: str
    colour: int
    x: float
    y: float
    seeds: tuple[float, ...]
    label: float
    on_left: bool
    instructions: float
    average: float


@dataclass(frozen=True, slots=True)
class NeedChart:
    """The chart.

    Attributes:
        points: in the order of the strategies.
        needs: axis of the instructions, from 0 to the pool.
        averages: axis of the benchmark averages, 0 to 100; covers what was measured and need not start at 0.
    """

    points: tuple[NeedPoint, ...]
    needs: Axis
    averages: Axis


def need_chart(needs: Sequence[Need], *, pool: int) -> NeedChart:
    """Lay out the chart.

    Args:
        needs: the strategies.
        pool: samples of the pool.
    """
    across = linear_axis(0.0, max([float(pool), *(need.instructions for need in needs)]), ticks=4)
    measured = [100 * value for need in needs for value in need.averages]
    upward = linear_axis(min(measured), max(measured), ticks=4)
    labels: dict[str, float] = {}
    for side in (False, True):
        group = [need for need in needs if (across.place(need.instructions) > 50) == side]
        labels |= _apart({need.strategy: 100 - upward.place(100 * need.average) for need in group})
    placed = (_point(need, colour, labels[need.strategy], across, upward) for colour, need in enumerate(needs))
    return NeedChart(tuple(placed), across, upward)


def _point(need: Need, colour: int, label: float, across: Axis, upward: Axis) -> NeedPoint:
    x = across.place(need.instructions)
    return NeedPoint(
        strategy=need.strategy,
        colour=colour,
        x=x,
        y=round(100 - upward.place(100 * need.average), 2),
        seeds=tuple(round(100 - upward.place(100 * value), 2) for value in need.averages),
        label=label,
        on_left=x > 50,
        instructions=need.instructions,
        average=need.average,
    )


def _apart(places: dict[str, float]) -> dict[str, float]:
    """Labels moved until none stands on another; their order stays, and so does the middle of those that touched."""
    order = sorted(places, key=lambda name: (places[name], name))
    blocks: list[list[str]] = []
    for name in order:
        blocks.append([name])
        while len(blocks) > 1 and _top(blocks[-1], places) - _bottom(blocks[-2], places) < LABEL_HEIGHT:
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return {
        name: round(_top(block, places) + LABEL_HEIGHT * index, 2)
        for block in blocks
        for index, name in enumerate(block)
    }


def _top(block: list[str], places: dict[str, float]) -> float:
    """Place of the first label of a block that is centred on where its labels belong, within the chart."""
    height = LABEL_HEIGHT * (len(block) - 1)
    middle = sum(places[name] for name in block) / len(block)
    return min(max(middle - height / 2, 0.0), max(100.0 - height, 0.0))


def _bottom(block: list[str], places: dict[str, float]) -> float:
    return _top(block, places) + LABEL_HEIGHT * (len(block) - 1)
