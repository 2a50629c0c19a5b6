"""What a person wants to see of a finished stage: a few small tables, made of the artifact that it wrote."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.money import dollars
from components.schemas import (
    ALLOCATION,
    ATTEMPT_ROWS,
    CHOSEN,
    CLUSTERS,
    DIFFICULTY,
    DROPPED,
    IMPORTANCE,
    INSTRUCTIONS,
    METRICS,
    QUARANTINE,
    SAMPLES,
    SELECTION,
    TRAINING_LOG,
    TRAINING_SAMPLES,
)
from components.storage import read_table

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
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def stage_tables(stage: str, directory: Path) -> tuple[StageTable, ...]:
    """The tables of a stage.

    Args:
        stage: its name, with or without `@item`.
        directory: its artifact.

    Returns:
        Those that have rows; none for a stage that wrote nothing a person would read as a table.
    """
    reader = _READERS.get(stage.partition("@")[0])
    tables = [*(reader(directory) if reader else ()), *_dropped(directory)]
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


def _ingest(directory: Path) -> list[StageTable]:
    samples = read_table(directory / "samples.parquet", SAMPLES)
    quarantine = read_table(directory / "quarantine.parquet", QUARANTINE)
    return [_counts("samples", "Samples per task", samples, "task"), _counts("quarantine", "Quarantined", quarantine)]


def _instruct(directory: Path) -> list[StageTable]:
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
    return [StageTable("cost", "Cost per task", columns, tuple(rows))]


def _tune(directory: Path) -> list[StageTable]:
    log = read_table(directory / "training_log.parquet", TRAINING_LOG).to_pylist()
    step = max(1, -(-len(log) // _LOSSES))
    shown = [*log[: len(log) - 1 : step], *log[-1:]]
    rows = tuple((row["step"], round(row["epoch"], 2), row["loss"], row["learning_rate"]) for row in shown)
    return [StageTable("loss", "Training loss", ("update", "epoch", "loss", "learning rate"), rows)]


def _score(directory: Path) -> list[StageTable]:
    importance = read_table(directory / "importance.parquet", IMPORTANCE)
    rows = tuple((row["task"], row["samples"], row["score"], row["weight"]) for row in importance.to_pylist())
    columns = ("task", "samples", "mean relevance score (lower: more important)", "weight")
    return [StageTable("importance", "Importance of the tasks", columns, rows)]


def _influence(directory: Path) -> list[StageTable]:
    difficulty = read_table(directory / "difficulty.parquet", DIFFICULTY)
    rows = tuple((row["task"], row["samples"], row["difficulty"], row["quota"]) for row in difficulty.to_pylist())
    return [StageTable("difficulty", "Difficulty of the tasks", ("task", "samples", "difficulty", "quota"), rows)]


def _cluster(directory: Path) -> list[StageTable]:
    clusters = read_table(directory / "clusters.parquet", CLUSTERS)
    summed = clusters.group_by("task").aggregate([("task", "count"), ("cluster", "count_distinct")]).sort_by("task")
    rows = tuple((row["task"], row["task_count"], row["cluster_count_distinct"]) for row in summed.to_pylist())
    return [StageTable("clusters", "Clusters per task", ("task", "images", "clusters"), rows)]


def _allocate(directory: Path) -> list[StageTable]:
    allocation = read_table(directory / "allocation.parquet", ALLOCATION)
    sums = [("size", "sum"), ("available", "sum"), ("quota", "sum")]
    summed = allocation.group_by("task").aggregate(sums).sort_by("task")
    rows = tuple((row["task"], row["size_sum"], row["available_sum"], row["quota_sum"]) for row in summed.to_pylist())
    columns = ("task", "images", "without the reference set", "to pick")
    return [StageTable("allocation", "Allocation", columns, rows)]


def _select(directory: Path) -> list[StageTable]:
    chosen = directory / "chosen.parquet"
    if chosen.exists():
        return [_counts("picked", "Picked per task", read_table(chosen, CHOSEN), "task")]
    selection = read_table(directory / "selection.parquet", SELECTION)
    return [_counts("picked", "Picked per task", selection.filter(pc.field("picked")), "task")]


def _reference(directory: Path) -> list[StageTable]:
    return [_counts("reference", "Reference set per task", read_table(directory / "reference.parquet", CHOSEN), "task")]


def _assemble(directory: Path) -> list[StageTable]:
    samples = read_table(directory / "samples.parquet", TRAINING_SAMPLES)
    return [_counts("training-set", "Training set", samples, "origin")]


def _benchmark(directory: Path) -> list[StageTable]:
    metrics = read_table(directory / "metrics.parquet", METRICS)
    rows = tuple(
        (row["set"], row["metric"], 100 * row["score"], row["questions"], row["left_out"])
        for row in metrics.to_pylist()
    )
    columns = ("set", "metric", "score of 100", "questions", "left out")
    return [StageTable("benchmark", "Benchmark", columns, rows)]


def _dropped(directory: Path) -> list[StageTable]:
    file = directory / "dropped.parquet"
    return [_counts("dropped", "Left out", read_table(file, DROPPED))] if file.exists() else []


def _counts(name: str, title: str, table: pa.Table, column: str = "reason") -> StageTable:
    counted = table.group_by(column).aggregate([(column, "count")]).sort_by([(f"{column}_count", "descending")])
    rows = tuple((row[column], row[f"{column}_count"]) for row in counted.to_pylist())
    return StageTable(name, title, (column, "count"), rows)


_READERS: dict[str, Callable[[Path], list[StageTable]]] = {
    "ingest": _ingest,
    "reference": _reference,
    "instruct_reference": _instruct,
    "instruct_pool": _instruct,
    "instruct_selection": _instruct,
    "baseline_instruct": _instruct,
    "reference_tune": _tune,
    "warm_up_tune": _tune,
    "tune": _tune,
    "baseline_tune": _tune,
    "score": _score,
    "influence": _influence,
    "cluster": _cluster,
    "allocate": _allocate,
    "size_balanced_allocate": _allocate,
    "select": _select,
    "size_balanced_select": _select,
    "tive_select": _select,
    "coincide_select": _select,
    "random_select": _select,
    "uniform_task_select": _select,
    "full_select": _select,
    "baseline_select": _select,
    "assemble": _assemble,
    "benchmark_base": _benchmark,
    "benchmark_tuned": _benchmark,
    "benchmark_baseline": _benchmark,
}


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _row(cells: list[str] | tuple[str, ...], *, escape: bool = True) -> str:
    return "| " + " | ".join(_escaped(cell) if escape else cell for cell in cells) + " |"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
