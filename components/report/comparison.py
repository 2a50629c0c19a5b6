"""Strategies side by side: one row each, over all seeds, and what the differences are worth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import pyarrow as pa
from scipy.special import stdtrit  # type: ignore[import-untyped]  # scipy ships no types

from components.report.filters import listed, points, template_environment
from components.report.geometry import linear_axis
from components.report.inputs import Lineage
from components.report.need_chart import Need, need_chart
from components.report.strategy_report import load_strategy_report
from components.strategies.load import load_strategy


@dataclass(frozen=True, slots=True)
class ComparisonInputs:
    """A comparison.

    Attributes:
        rows: COMPARISON.
        base: benchmark average of the model before tuning, 0 to 1.
        budget: as it was given.
        pool: samples of the pool.
        lineage: records.
    """

    rows: pa.Table
    base: float
    budget: str
    pool: int
    lineage: Lineage


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """One strategy over all seeds; numbers are means over them, times in seconds.

    Attributes:
        strategy: its name.
        title: as people call it.
        keeps_to_budget: it does not take the whole pool whatever the budget.
        seeds: how many.
        average: benchmark average, 0 to 1.
        averages: of every seed.
        relative: Rel. in percent; NaN without a full tune.
        instructions: needed.
        cost_usd: dollars for them.
        images: tuned on.
        selection_seconds: to choose.
        tuning_seconds: to tune.
        sets: score per benchmark set.
    """

    strategy: str
    title: str
    keeps_to_budget: bool
    seeds: int
    average: float
    averages: tuple[float, ...]
    relative: float
    instructions: float
    cost_usd: float
    images: float
    selection_seconds: float
    tuning_seconds: float
    sets: tuple[tuple[str, float], ...]


def strategy_rows(rows: pa.Table) -> tuple[StrategyRow, ...]:
    """One row per strategy, in the order in which they come.

    Args:
        rows: COMPARISON.
    """
    found = rows.to_pylist()
    return tuple(
        _row(name, [row for row in found if row["strategy"] == name])
        for name in dict.fromkeys(row["strategy"] for row in found)
    )


def noise_between_seeds(rows: Sequence[StrategyRow]) -> float:
    """Pooled standard deviation of the average between seeds of one strategy; NaN with one seed each."""
    several = [row for row in rows if row.seeds > 1]
    freedom = sum(row.seeds - 1 for row in several)
    if not freedom:
        return math.nan
    return math.sqrt(sum((row.seeds - 1) * stdev(row.averages) ** 2 for row in several) / freedom)


def conclusion(rows: Sequence[StrategyRow]) -> str:
    """What can be said of the differences, in plain words.

    Two means are told apart where they differ by more than the 95 % interval of a difference, whose width is Student's
    t at the degrees of freedom behind the pooled deviation: with two seeds each, far wider than the normal's 1.96.
    """
    noise = noise_between_seeds(rows)
    if math.isnan(noise):
        return (
            "With one seed per strategy the differences say nothing about the strategies: how much an average moves "
            "from seed to seed is not known. Run again with more seeds."
        )
    seeds = min(row.seeds for row in rows)
    freedom = sum(row.seeds - 1 for row in rows)
    limit = float(stdtrit(freedom, 0.975)) * noise * math.sqrt(2 / seeds)
    compared = [row for row in rows if row.keeps_to_budget]
    text = (
        f"From seed to seed an average moves by {points(noise)} points (standard deviation, from "
        f"{sum(row.seeds for row in rows)} runs). Two strategies that are less than about {points(limit)} points "
        "apart are not told apart by this comparison."
    )
    if len(compared) < 2:
        return text
    best = max(compared, key=lambda row: row.average)
    level = [row.strategy for row in compared if row is not best and best.average - row.average <= limit]
    outcome = (
        f"Within the budget, {best.strategy} is highest, and {listed(level)} cannot be told from it."
        if level
        else f"Within the budget, {best.strategy} is ahead of all others by more than that."
    )
    return f"{text} {outcome} All of it holds for this pool and these questions; others may give another order."


def build_comparison(inputs: ComparisonInputs) -> str:
    """Write one self-contained page.

    Returns:
        HTML; it asks for nothing from outside itself and escapes every text that comes from data.
    """
    rows = strategy_rows(inputs.rows)
    values = [inputs.base, *(value for row in rows for value in row.averages)]
    scored = [row for row in rows if math.isfinite(row.average)]
    needs = [Need(row.strategy, row.instructions, row.averages, row.average) for row in scored]
    return (
        template_environment()
        .get_template("comparison.html")
        .render(
            rows=rows,
            axis=linear_axis(0.0, 100 * max((value for value in values if math.isfinite(value)), default=0.0)),
            base=inputs.base,
            full=next((row.average for row in rows if not row.keeps_to_budget), math.nan),
            needs=need_chart(needs, pool=inputs.pool) if needs else None,
            conclusion=conclusion(rows),
            budget=inputs.budget,
            pool=inputs.pool,
            lineage=inputs.lineage,
        )
    )


def _row(name: str, rows: list[dict[str, object]]) -> StrategyRow:
    def mean(column: str) -> float:
        values = [math.nan if row[column] is None else float(str(row[column])) for row in rows]
        return fmean(values)

    scores: dict[str, list[float]] = {}
    for row in rows:
        sets = row["sets"]
        assert isinstance(sets, list)
        for item in sets:
            scores.setdefault(item["set"], []).append(item["score"])
    return StrategyRow(
        strategy=name,
        title=load_strategy_report(name).title,
        keeps_to_budget=not load_strategy(name).takes_whole_pool,
        seeds=len(rows),
        average=mean("average"),
        averages=tuple(float(str(row["average"])) for row in rows),
        relative=mean("relative"),
        instructions=mean("instructions"),
        cost_usd=mean("cost_usd"),
        images=mean("images"),
        selection_seconds=mean("selection_seconds"),
        tuning_seconds=mean("tuning_seconds"),
        sets=tuple((key, fmean(values)) for key, values in scores.items()),
    )
