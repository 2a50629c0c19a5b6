"""Outcome and plan on the terminal."""

from rich.console import Console
from rich.table import Table

from components.plan import RunPlan, plan_text
from flows.outcome import CurationOutcome


def show_outcome(outcome: CurationOutcome) -> None:
    """Print where to look and the numbers that matter."""
    console = Console(highlight=False)
    share = outcome.instructions / outcome.pool
    lines = [
        ("pool", f"{outcome.pool:,} images (one per task counted)"),
        ("picked", f"{outcome.reference:,} reference + {outcome.picked:,} selected"),
        (
            "instructions",
            f"{outcome.instructions:,} bought for ${outcome.cost_usd:,.2f}; all {outcome.pool:,} would have taken "
            f"${outcome.full_cost_usd:,.2f} ({share:.1%} bought)",
        ),
        (
            "benchmark",
            ",  ".join(f"{item.name} {100 * item.average:.1f}" for item in outcome.scores) + "  (average, 0 to 100)",
        ),
        ("report", outcome.report),
        (
            "model",
            f"models:/{outcome.model}/{outcome.model_version}{' (new)' if outcome.model_is_new else ' (unchanged)'}",
        ),
        ("MLflow run", f"{outcome.mlflow_run_id}  (`make ui` opens MLflow and Prefect)"),
    ]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, text)
    console.print()
    console.print(table)


def show_plan(plan: RunPlan, outdated: tuple[str, ...]) -> None:
    """Print what a run would buy, per task, and which stages it would run."""
    console = Console(highlight=False)
    console.print(plan_text(plan), markup=False)
    stages = ", ".join(outdated) if outdated else "none: everything is up to date"
    console.print(f"\nStages that would run unless an equal run is in the cache: {stages}.", markup=False)
