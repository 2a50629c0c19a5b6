"""What a comparison ends with: its table, its page, and the numbers for MLflow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from prefect.runtime import flow_run

from components.benchmark.relative import average_score, relative_score
from components.report.comparison import ComparisonInputs, StrategyRow, build_comparison, strategy_rows
from components.report.inputs import Lineage
from components.schemas import COMPARISON, METRICS, TRAINING_SAMPLES
from components.selection.budget import budget_text, parse_budget
from components.storage import read_table, write_table, write_text
from components.strategies.load import strategies_that
from flows.outcome import CurationOutcome
from flows.prepare_workspace import RUNS
from tasks.platform.run_files import git_commit
from tasks.platform.workspace import Workspace

Run = tuple[str, int]  # strategy and seed


@dataclass(frozen=True, slots=True)
class ComparisonOutcome:
    """The end of a comparison.

    Attributes:
        rows: one per strategy.
        table: COMPARISON as Parquet.
        page: the HTML page.
        mlflow_run_id: the run that all curation runs are nested in.
    """

    rows: tuple[StrategyRow, ...]
    table: Path
    page: Path
    mlflow_run_id: str

    @property
    def metrics(self) -> tuple[tuple[str, float], ...]:
        """Numbers for MLflow, as (name, value)."""
        columns = ("average", "relative", "instructions", "images", "selection_seconds", "tuning_seconds")
        named = ((f"{row.strategy}/{column}", float(getattr(row, column))) for row in self.rows for column in columns)
        return tuple((name, value) for name, value in named if not math.isnan(value))


def describe_comparison(
    name: str, places: Mapping[Run, Workspace], outcomes: Mapping[Run, CurationOutcome], *, run_id: str
) -> ComparisonOutcome:
    """Write the table and the page.

    Args:
        name: folder under `runs/`.
        places: workspace of every run.
        outcomes: of every run.
        run_id: the comparison's MLflow run.
    """
    files = {run: place.artifact("benchmark/tuned") / "metrics.parquet" for run, place in places.items()}
    metrics = {run: read_table(file, METRICS) for run, file in files.items()}
    rows = pa.Table.from_pylist(
        [_row(run, places[run], outcome, metrics) for run, outcome in outcomes.items()], schema=COMPARISON
    )
    first, place = next(iter(outcomes.values())), next(iter(places.values()))
    commit = git_commit()
    inputs = ComparisonInputs(
        rows=rows,
        base=next(score.average for score in first.scores if score.name == "base"),
        budget=budget_text(parse_budget(place.parameters().budget)),
        pool=first.pool,
        lineage=Lineage(
            created_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            git_commit=commit.removesuffix("-dirty"),
            git_dirty=commit.endswith("-dirty"),
            flow_run_name=flow_run.name or "",
            mlflow_run_url=f"run {run_id}",
        ),
    )
    table, page = RUNS / name / "comparison.parquet", RUNS / name / "comparison.html"
    write_table(table, rows)
    write_text(page, build_comparison(inputs))
    return ComparisonOutcome(strategy_rows(rows), table, page, run_id)


def _row(run: Run, place: Workspace, outcome: CurationOutcome, metrics: Mapping[Run, pa.Table]) -> dict[str, object]:
    strategy, seed = run
    own = metrics[run]
    full = next((metrics[name, seed] for name in strategies_that("takes_whole_pool") if (name, seed) in metrics), None)
    training_set = read_table(place.artifact("training_set") / "samples.parquet", TRAINING_SAMPLES)
    return {
        "strategy": strategy,
        "seed": seed,
        "average": average_score(own),
        "relative": None if full is None else relative_score(own, full),
        "instructions": outcome.instructions,
        "cost_usd": outcome.cost_usd,
        "images": training_set.num_rows,
        "selection_seconds": outcome.selection_seconds,
        "tuning_seconds": outcome.tuning_seconds,
        "sets": own.select(["set", "score"]).to_pylist(),
    }
