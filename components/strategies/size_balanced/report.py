"""PreSel without task importance on the report's page."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from components import schemas
from components.report.inputs import ReportInputs
from components.report.strategy_report import Evidence, Section, StrategyReport
from components.report.task_rows import TaskRow
from components.strategies.presel.quotas import quotas_section
from components.strategies.presel.report import CENTRALITY, CENTRALITY_RANKS, ENCODER, encoder_vectors
from components.strategies.run_files import RunFiles


@dataclass(frozen=True, slots=True)
class SizeBalancedEvidence:
    """What the choice rests on.

    Attributes:
        allocation: ALLOCATION.
    """

    allocation: pa.Table

    @property
    def weights(self) -> Mapping[str, float]:
        """None: tasks get what their size gives them."""
        return {}

    def sections(self, _run: ReportInputs, tasks: tuple[TaskRow, ...]) -> tuple[Section, ...]:
        """What each cluster gets."""
        quotas = quotas_section(tasks, self.allocation)
        return () if quotas is None else (quotas,)


def _evidence(files: RunFiles) -> Evidence:
    return SizeBalancedEvidence(files.table("allocation/allocation.parquet", schemas.ALLOCATION))


REPORT = StrategyReport(
    title="PreSel without task importance",
    chosen=(
        "by PreSel's clusters and centrality, every task in proportion to its size, before anyone had asked a question "
        "about them"
    ),
    evidence=_evidence,
    score="centrality",
    pictures=CENTRALITY,
    ranks=CENTRALITY_RANKS,
    map_vectors=encoder_vectors,
    alike=ENCODER,
)
