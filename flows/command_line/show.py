"""Outcome and plan on the terminal."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.report.comparison import conclusion
from components.report.filters import duration
from flows.comparison import ComparisonOutcome
from flows.outcome import CurationOutcome
from tasks.platform.outdated_stages import OutdatedStage

TABLE_WIDTH = 100  # columns that the table of a comparison needs; a narrower terminal wraps it itself


def show_outcome(outcome: CurationOutcome) -> None:
    """Print where to look and the numbers that matter."""
    console = Console(highlight=False)
    share = outcome.instructions / outcome.pool
    reference = f"{outcome.reference:,} reference + " if outcome.reference else ""
    model = outcome.model
    extra = outcome.controls
    lines = [
        ("pool", f"{outcome.pool:,} images (one per task counted)"),
        ("records", outcome.records),
        ("picked", f"{reference}{outcome.picked:,} selected (strategy {outcome.strategy})"),
        (
            "instructions",
            f"{outcome.instructions:,} needed for ${outcome.cost_usd:,.2f}; all {outcome.pool:,} would have taken "
            f"${outcome.full_cost_usd:,.2f} ({share:.1%} needed)",
        ),
        (
            "benchmark",
            ",  ".join(f"{item.name} {100 * item.average:.1f}" for item in outcome.scores) + "  (average, 0 to 100)",
        ),
        ("report", outcome.report),
        (
            "model",
            "not registered"
            if model is None
            else f"models:/{model.name}/{model.version}{' (new)' if model.created else ' (unchanged)'}"
            if model.version
            else f"a version of {model.name} when MLflow answers again (the next run, or `presel sync`)",
        ),
        ("MLflow run", f"{outcome.mlflow_run_id}  (`make ui` opens MLflow and Prefect)"),
    ]
    if outcome.dropped:
        lines.insert(4, ("dropped", outcome.dropped))
    if extra.instructions:
        said = f"{extra.instructions:,} more instructions for ${extra.spent_usd:,.2f}, for comparison only"
        lines.insert(4, ("controls", said))
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, text)
    console.print()
    console.print(table)


def show_comparison(outcome: ComparisonOutcome) -> None:
    """Print one row per strategy and where to look."""
    console = Console(highlight=False, width=max(Console().width, TABLE_WIDTH))
    table = Table(box=None, pad_edge=False)
    table.add_column("strategy", style="bold", no_wrap=True)
    for heading in ("average", "seeds", "Rel.", "instructions", "tuned on", "selection", "tuning"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in outcome.rows:
        table.add_row(
            row.strategy,
            f"{100 * row.average:.1f}",
            " ".join(f"{100 * value:.1f}" for value in row.averages),
            "-" if math.isnan(row.relative) else f"{row.relative:.1f} %",
            f"{row.instructions:,.0f}",
            f"{row.images:,.0f}",
            duration(row.selection_seconds),
            duration(row.tuning_seconds),
        )
    console.print()
    console.print(table)
    console.print(f"\n{conclusion(outcome.rows)}", markup=False)
    places = [("page", outcome.page), ("table", outcome.table), ("MLflow run", outcome.mlflow_run_id)]
    console.print("\n" + "\n".join(f"{label:<10}  {where}" for label, where in places), markup=False)


def show_plan(plan: str, outdated: Sequence[OutdatedStage]) -> None:
    """Print what a run would buy, per task, and which stages it would run and why."""
    console = Console(highlight=False)
    console.print(plan, markup=False)
    if not outdated:
        console.print("\nStages that would run: none, everything is up to date.", markup=False)
        return
    console.print("\nStages that would run unless an equal run is in the cache:", markup=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for stage in outdated:
        table.add_row(stage.stage, escape("; ".join(stage.reasons)))
    console.print(table)
