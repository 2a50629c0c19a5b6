"""What a person wants to see of a finished stage: a few small tables, made of the artifact that it wrote."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.schemas import (
    ATTEMPT_ROWS,
    DROPPED,
    INSTRUCTIONS,
    METRICS,
    SELECTION,
    TRAINING_LOG,
)
from components.storage import read_table
from components.text import dollars, shortened

Cell = str | int | float
_LOSSES = 12  # rows of a training log at most
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


@dataclass(frozen=True, slots=True)
class StageTable:
    """A table for people.

    Attributes:
        name: lower-case words joined by dashes, such as `quarantine`.
        title: what it shows.
        columns: their headings.
        rows: one cell per column; text comes from data and is not escaped.
        followed: it is worth a page of its own, to be followed from run to run.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    followed: bool = False


def stage_tables(directory: Path, own: Callable[[Path], list[StageTable]] | None) -> tuple[StageTable, ...]:
    """The tables of a stage.

    Args:
        directory: its artifact.
        own: reads those that its declaration names.

    Returns:
        Those that have rows, what it left out the last; none for a stage that wrote nothing a person would read as a
        table.
    """
    tables = [*(own(directory) if own else ()), *_dropped(directory)]
    return tuple(table for table in tables if table.rows)


def markdown_page(stage: str, note: str, tables: tuple[StageTable, ...]) -> str:
    """The tables as one page of Markdown; what comes from data is escaped.

    Args:
        stage: its name.
        note: one line about what it did.
        tables: of `stage_tables`.
    """
    lines = [f"## {_escaped(stage)}", "", _escaped(note)]
    for table in tables:
        lines += ["", f"### {table.title}", "", _row(table.columns), _row(["---"] * len(table.columns), escape=False)]
        lines += [_row([_shown(cell) for cell in row]) for row in table.rows]
    return "\n".join(lines) + "\n"


def purchase_tables(directory: Path) -> list[StageTable]:
    """What the instructions of each task cost."""
    bought = read_table(directory / "instructions.parquet", INSTRUCTIONS).group_by("task")
    attempts = read_table(directory / "attempts.parquet", ATTEMPT_ROWS)
    costs = attempts.group_by("task").aggregate(
        [("task", "count"), ("input_tokens", "sum"), ("output_tokens", "sum"), ("price_usd", "sum")]
    )
    usable = {row["task"]: row["task_count"] for row in bought.aggregate([("task", "count")]).to_pylist()}
    rows = [
        (
            row["task"],
            usable.get(row["task"], 0),
            row["task_count"],
            row["input_tokens_sum"] or 0,
            row["output_tokens_sum"] or 0,
            dollars(row["price_usd_sum"] or 0.0),
        )
        for row in costs.sort_by("task").to_pylist()
    ]
    columns = ("task", "instructions", "times asked", "tokens in", "tokens out", "cost")
    return [StageTable("cost", "Cost per task", columns, tuple(rows), followed=True)]


def training_tables(directory: Path) -> list[StageTable]:
    """How the loss fell."""
    log = read_table(directory / "training_log.parquet", TRAINING_LOG).to_pylist()
    step = max(1, -(-len(log) // _LOSSES))
    shown = [*log[: len(log) - 1 : step], *log[-1:]]
    rows = tuple((row["step"], round(row["epoch"], 2), row["loss"], row["learning_rate"]) for row in shown)
    return [StageTable("loss", "Training loss", ("update", "epoch", "loss", "learning rate"), rows)]


def selection_tables(directory: Path) -> list[StageTable]:
    """How many of each task were picked."""
    selection = read_table(directory / "selection.parquet", SELECTION)
    return [count_table("picked", "Picked per task", selection.filter(pc.field("picked")), "task")]


def benchmark_tables(directory: Path) -> list[StageTable]:
    """The score of each set."""
    metrics = read_table(directory / "metrics.parquet", METRICS)
    rows = tuple(
        (row["set"], row["metric"], 100 * row["score"], row["questions"], row["left_out"])
        for row in metrics.to_pylist()
    )
    columns = ("set", "metric", "score of 100", "questions", "left out")
    return [StageTable("benchmark", "Benchmark", columns, rows, followed=True)]


def _dropped(directory: Path) -> list[StageTable]:
    file = directory / "dropped.parquet"
    return [count_table("dropped", "Left out", read_table(file, DROPPED), "reason")] if file.exists() else []


def count_table(name: str, title: str, table: pa.Table, column: str, *, followed: bool = False) -> StageTable:
    """How often each value of a column occurs, the most frequent first."""
    counted = table.group_by(column).aggregate([(column, "count")]).sort_by([(f"{column}_count", "descending")])
    rows = tuple((row[column], row[f"{column}_count"]) for row in counted.to_pylist())
    return StageTable(name, title, (column, "count"), rows, followed)


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else shortened(cell, 120)


def _row(cells: list[str] | tuple[str, ...], *, escape: bool = True) -> str:
    return "| " + " | ".join(_escaped(cell) if escape else cell for cell in cells) + " |"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
