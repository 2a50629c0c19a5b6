"""COINCIDE on the report's page: which clusters got how much, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components import schemas
from components.models.features.feature_store import read_features
from components.report.geometry import Part, stacked
from components.report.inputs import ReportInputs
from components.report.strategy_report import Evidence, Section, StrategyReport
from components.report.task_rows import TaskRow
from components.strategies.run_files import RunFiles

TEMPLATE = Path(__file__).with_name("report.html")
SHOWN = 25  # clusters in the table


@dataclass(frozen=True, slots=True)
class Concept:
    """One cluster: columns of CONCEPT_SHARES, and the tasks of its samples as one bar."""

    cluster: int
    size: int
    transferability: float
    density: float
    share: float
    quota: int
    mix: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Concepts:
    """The section.

    Attributes:
        shown: the clusters with the largest shares, the largest first.
        colours: of the tasks.
        clusters: how many there are.
        whole: taken whole.
        nothing: that got nothing.
        more: clusters that are not shown.
        more_samples: their samples.
        more_picks: their picks.
    """

    shown: tuple[Concept, ...]
    colours: Mapping[str, int]
    clusters: int
    whole: int
    nothing: int
    more: int
    more_samples: int
    more_picks: int


@dataclass(frozen=True, slots=True)
class CoincideEvidence:
    """What COINCIDE's choice rests on.

    Attributes:
        shares: CONCEPT_SHARES.
    """

    shares: pa.Table

    @property
    def weights(self) -> Mapping[str, float]:
        """None: clusters are weighed, not tasks."""
        return {}

    def sections(self, run: ReportInputs, tasks: tuple[TaskRow, ...]) -> tuple[Section, ...]:
        """What each concept cluster is worth."""
        return (Section("concepts", "Concepts", TEMPLATE, concepts(self.shares, run.selection, tasks)),)


def concepts(shares: pa.Table, selection: pa.Table, tasks: tuple[TaskRow, ...]) -> Concepts:
    """Order the clusters and see which tasks they mix.

    Args:
        shares: CONCEPT_SHARES.
        selection: SELECTION.
        tasks: the tasks, in the order of the bars.
    """
    rows = sorted(shares.to_pylist(), key=lambda row: (-row["share"], row["cluster"]))
    rest = rows[SHOWN:]
    groups = selection.group_by(["cluster", "task"]).aggregate([("sample_id", "count")]).to_pylist()
    counts = Counter({(row["cluster"], row["task"]): row["sample_id_count"] for row in groups})

    def mix(cluster: int) -> tuple[Part, ...]:
        present = ((row.task, counts[cluster, row.task]) for row in tasks)
        return stacked((task, number) for task, number in present if number)

    return Concepts(
        shown=tuple(Concept(**row, mix=mix(row["cluster"])) for row in rows[:SHOWN]),
        colours={row.task: row.colour for row in tasks},
        clusters=len(rows),
        whole=sum(row["quota"] == row["size"] for row in rows),
        nothing=sum(row["quota"] == 0 for row in rows),
        more=len(rest),
        more_samples=sum(row["size"] for row in rest),
        more_picks=sum(row["quota"] for row in rest),
    )


def _evidence(files: RunFiles) -> Evidence:
    return CoincideEvidence(files.table("concept_shares/shares.parquet", schemas.CONCEPT_SHARES))


def _activations(files: RunFiles, selection: pa.Table) -> NDArray[np.floating]:
    return read_features(files.path("activations"), selection["sample_id"].to_pylist())


REPORT = StrategyReport(
    title="COINCIDE",
    chosen="by COINCIDE after every sample of the pool had been given an instruction",
    evidence=_evidence,
    score="typicality",
    pictures=(
        "Within a cluster the picks are those that together look most like the whole cluster. These are the clusters "
        "with the largest quotas."
    ),
    ranks=(
        "Under each image: its place in the order of picks, if picked, and its typicality, the mean kernel "
        "similarity to its cluster. Passed-over images are shown evenly from the most to the least typical."
    ),
    mixes_tasks=True,
    map_vectors=_activations,
    alike="samples that stir the small model's attention alike lie close together",
)
