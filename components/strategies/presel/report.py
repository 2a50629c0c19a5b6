"""PreSel on the report's page: what changed, what each task is worth, and how Eq. 6 spreads the budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components import schemas
from components.models.embedding.vector_store import encoder_fingerprint, read_vectors
from components.report.geometry import Axis, Spread, linear_axis, spread_of
from components.report.inputs import ReportInputs
from components.report.strategy_report import Evidence, Section, StrategyReport
from components.report.task_rows import TaskRow
from components.strategies.presel.changes import Recuration, changes_section, read_recuration
from components.strategies.presel.quotas import quotas_section
from components.strategies.run_files import RunFiles

TEMPLATE = Path(__file__).with_name("importance.html")
CENTRALITY = (
    "Within a cluster, the images closest to their neighbours win (Eq. 7): they stand for the most others. These are "
    "the clusters with the largest quotas, one per task in turn."
)
CENTRALITY_RANKS = (
    "Under each image: its rank in the cluster and its neighbour centrality, the mean cosine to its nearest neighbours "
    "(higher wins). Picked images are shown from the first rank on, passed-over ones evenly from the narrowest miss to "
    "the least central."
)
ENCODER = "images that the encoder finds alike lie close together"


@dataclass(frozen=True, slots=True)
class TaskImportance:
    """One task: its mean score (lower: the question matters more), how many samples that is of, their spread."""

    row: TaskRow
    score: float
    samples: int
    spread: Spread


@dataclass(frozen=True, slots=True)
class Importance:
    """The section on what the tasks are worth.

    Attributes:
        tasks: the most important first.
        unscored: tasks without a score.
        axis: of the scores.
        equal: the weight that every task would have if all were worth the same.
    """

    tasks: tuple[TaskImportance, ...]
    unscored: tuple[str, ...]
    axis: Axis
    equal: float


@dataclass(frozen=True, slots=True)
class PreselEvidence:
    """What PreSel's choice rests on.

    Attributes:
        scores: SCORES.
        importance: IMPORTANCE.
        allocation: ALLOCATION.
        recuration: what it goes on from; None for a curation from scratch.
    """

    scores: pa.Table
    importance: pa.Table
    allocation: pa.Table
    recuration: Recuration | None

    @property
    def weights(self) -> Mapping[str, float]:
        """The task importances."""
        return dict(zip(self.importance["task"].to_pylist(), self.importance["weight"].to_pylist(), strict=True))

    def sections(self, run: ReportInputs, tasks: tuple[TaskRow, ...]) -> tuple[Section, ...]:
        """What changed, what each task is worth, what each cluster gets."""
        found = (
            changes_section(self.recuration, run, tasks),
            importance_section(tasks, self.scores, self.importance),
            quotas_section(tasks, self.allocation),
        )
        return tuple(section for section in found if section is not None)


def importance_section(tasks: tuple[TaskRow, ...], scores: pa.Table, importance: pa.Table) -> Section | None:
    """Lay out the scores; None when no task has a weight.

    Args:
        tasks: the tasks, the most important first.
        scores: SCORES.
        importance: IMPORTANCE.
    """
    known = {row["task"]: row for row in importance.to_pylist()}
    weighted = [row for row in tasks if row.task in known]
    if not weighted:
        return None
    rows = []
    for row in weighted:
        score, samples = float(known[row.task]["score"]), int(known[row.task]["samples"])
        own = scores.filter(pc.equal(scores["task"], row.task))["instruction_relevance_score"].to_numpy()
        rows.append(TaskImportance(row, score, samples, spread_of(own, score)))
    highest = max(1.0, *(max(row.spread.ninetieth, row.score) for row in rows))
    numbers = Importance(
        tasks=tuple(rows),
        unscored=tuple(row.task for row in tasks if row.task not in known),
        axis=linear_axis(0.0, highest),
        equal=1.0 / len(rows),
    )
    return Section("importance", "Importance", TEMPLATE, numbers)


def encoder_vectors(files: RunFiles, selection: pa.Table) -> NDArray[np.floating]:
    """The vectors that the images are clustered by."""
    encoder = files.parameters.encoder
    model = encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
    vectors: NDArray[np.floating] = read_vectors(files.path("vectors"), selection["image_sha"].to_pylist(), model=model)
    return vectors


def _evidence(files: RunFiles) -> Evidence:
    return PreselEvidence(
        scores=files.table("scores/scores.parquet", schemas.SCORES),
        importance=files.table("scores/importance.parquet", schemas.IMPORTANCE),
        allocation=files.table("allocation/allocation.parquet", schemas.ALLOCATION),
        recuration=read_recuration(files),
    )


REPORT = StrategyReport(
    title="PreSel",
    chosen="by PreSel before anyone had asked a question about them",
    evidence=_evidence,
    score="centrality",
    pictures=CENTRALITY,
    ranks=CENTRALITY_RANKS,
    map_vectors=encoder_vectors,
    alike=ENCODER,
    own_model=("reference_model", "reference model"),
)
