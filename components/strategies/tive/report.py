"""TIVE on the report's page: how difficult the tasks are, and how far from uniform the draw was."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components import schemas
from components.models.features.feature_store import read_features
from components.report.geometry import Axis, Spread, linear_axis, spread_of
from components.report.inputs import ReportInputs
from components.report.strategy_report import Evidence, Section, StrategyReport
from components.report.task_rows import TaskRow, selected_rows
from components.strategies.run_files import RunFiles
from components.strategies.tive.parameters import TiveParameters

TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True, slots=True)
class TaskDifficulty:
    """One task: columns of DIFFICULTY, and the influence of its samples.

    Attributes:
        row: the task.
        difficulty: mean self-influence.
        share: of the budget.
        quota: samples to draw.
        samples: samples there are.
        uniform_distance: total variation between the probabilities of the draw and equal ones, 0 to 1.
        influence: of all its samples; None where none is finite.
        drawn: mean influence of those drawn; NaN where none was.
    """

    row: TaskRow
    difficulty: float
    share: float
    quota: int
    samples: int
    uniform_distance: float
    influence: Spread | None
    drawn: float


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The section.

    Attributes:
        tasks: the most difficult first.
        warm_up: samples of the warm-up set.
        sampling_q: q of the sampling probabilities.
        uniform_distance: the largest of the tasks'.
        axis: of the influences; None where no sample has any.
    """

    tasks: tuple[TaskDifficulty, ...]
    warm_up: int
    sampling_q: float
    uniform_distance: float
    axis: Axis | None


@dataclass(frozen=True, slots=True)
class TiveEvidence:
    """What TIVE's choice rests on.

    Attributes:
        warm_up: CHOSEN.
        influence: INFLUENCE.
        difficulty: DIFFICULTY.
        sampling_q: q of the sampling probabilities.
    """

    warm_up: pa.Table
    influence: pa.Table
    difficulty: pa.Table
    sampling_q: float

    @property
    def weights(self) -> Mapping[str, float]:
        """None: the page keeps the tasks in the order of their size."""
        return {}

    def sections(self, run: ReportInputs, tasks: tuple[TaskRow, ...]) -> tuple[Section, ...]:
        """How difficult each task is."""
        return (Section("difficulty", "Difficulty", TEMPLATE, difficulty(self, run.selection, tasks)),)


def difficulty(evidence: TiveEvidence, selection: pa.Table, tasks: tuple[TaskRow, ...]) -> Difficulty:
    """Put difficulty, quota and influence of the tasks side by side.

    Args:
        evidence: of the run.
        selection: SELECTION.
        tasks: the tasks.
    """
    by_name = {row.task: row for row in tasks}
    every, drawn = _values(evidence.influence, "influence"), _values(selected_rows(selection), "score")
    nothing = np.zeros(0)
    rows = []
    for row in sorted(evidence.difficulty.to_pylist(), key=lambda row: (-row["difficulty"], row["task"])):
        own, of_drawn = every.get(row["task"], nothing), drawn.get(row["task"], nothing)
        rows.append(
            TaskDifficulty(
                row=by_name[row["task"]],
                difficulty=row["difficulty"],
                share=row["share"],
                quota=row["quota"],
                samples=row["samples"],
                uniform_distance=row["uniform_distance"],
                influence=spread_of(own, float(own.mean())) if own.size else None,
                drawn=float(of_drawn.mean()) if of_drawn.size else math.nan,
            )
        )
    return Difficulty(
        tasks=tuple(rows),
        warm_up=evidence.warm_up.num_rows,
        sampling_q=evidence.sampling_q,
        uniform_distance=max((row.uniform_distance for row in rows), default=0.0),
        axis=_axis(rows),
    )


def _axis(rows: list[TaskDifficulty]) -> Axis | None:
    spreads = [row.influence for row in rows if row.influence]
    if not spreads:
        return None
    ends = [value for one in spreads for value in (one.tenth, one.mean, one.ninetieth)]
    ends += [row.drawn for row in rows if row.influence and not math.isnan(row.drawn)]
    return linear_axis(min(0.0, *ends), max(ends))


def _values(table: pa.Table, column: str) -> dict[str, NDArray[np.float64]]:
    """The finite values per task."""
    found = {}
    for name in pc.unique(table["task"]).to_pylist():
        values = table.filter(pc.field("task") == name)[column].to_numpy()
        found[name] = values[np.isfinite(values)]
    return found


def _evidence(files: RunFiles) -> Evidence:
    return TiveEvidence(
        warm_up=files.table("warm_up/warm_up.parquet", schemas.CHOSEN),
        influence=files.table("influence/influence.parquet", schemas.INFLUENCE),
        difficulty=files.table("influence/difficulty.parquet", schemas.DIFFICULTY),
        sampling_q=files.parameters.section(TiveParameters).sampling_q,
    )


def _gradients(files: RunFiles, selection: pa.Table) -> NDArray[np.floating]:
    return read_features(files.path("gradients"), selection["sample_id"].to_pylist())


REPORT = StrategyReport(
    title="TIVE",
    chosen="by TIVE after every sample of the pool had been given an instruction",
    evidence=_evidence,
    score="influence",
    pictures="Within a task samples are drawn, the more influential the likelier; how much likelier is said above.",
    ranks=(
        "Under each image: its place by influence in the task, and its influence, the mean cosine of its gradient to "
        "those of the task. Drawn samples are shown from the most influential on, the others evenly down to the least."
    ),
    map_vectors=_gradients,
    alike="samples whose gradients point the same way lie close together",
    own_model=("warm_up_model", "warm-up model"),
)
