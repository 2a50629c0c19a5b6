"""What changed since the curation before: the pool, what was picked, what was computed anew, what it cost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components import schemas
from components.pool.manifest import read_samples
from components.recuration.pool_changes import PoolChanges, pool_changes
from components.report.geometry import Part, stacked
from components.report.inputs import InstructionTable, ReportInputs
from components.report.strategy_report import Section
from components.report.task_rows import TaskRow, selected_rows
from components.strategies.presel.reference_model import RetuneDecision, read_decision
from components.strategies.run_files import RunFiles

TEMPLATE = Path(__file__).with_name("changes.html")
ORIGINS = ("reference", "selection")


@dataclass(frozen=True, slots=True)
class Recuration:
    """The curation that this one goes on from, and what became of it.

    Attributes:
        changes: of the pool.
        earlier_reference: CHOSEN.
        earlier_selection: SELECTION.
        clustered_tasks: CLUSTERED_TASKS.
        kept: KEPT_QUOTAS.
        reference_model: whether it was tuned again.
    """

    changes: PoolChanges
    earlier_reference: pa.Table
    earlier_selection: pa.Table
    clustered_tasks: pa.Table
    kept: pa.Table
    reference_model: RetuneDecision


@dataclass(frozen=True, slots=True)
class Drift:
    """What was done with a task's clusters: columns of CLUSTERED_TASKS."""

    verdict: str
    reason: str
    new_images: int
    ratio: float
    p_value: float


@dataclass(frozen=True, slots=True)
class ChangedTask:
    """One task.

    Attributes:
        row: as it is now.
        before: samples of the earlier pool.
        kept: chosen before and now, reference set included.
        added: chosen now only.
        over: kept beyond what the clusters would be given today.
        clusters: what was done with them; None where it has none.
    """

    row: TaskRow
    before: int
    kept: int
    added: int
    over: int
    clusters: Drift | None


@dataclass(frozen=True, slots=True)
class Changes:
    """The section. Counts are of samples that have an instruction.

    Attributes:
        pool: what happened to the pool.
        before: chosen in the earlier curation.
        kept: chosen before and now.
        added: chosen now only.
        lost: no longer in the pool.
        moved: picked before, members of the reference set now.
        over: kept beyond what the clusters would be given today.
        parts: `kept`, `added` and `lost` as one bar.
        tasks: per task.
        reference_model: what was done with it and why.
        bought: instructions that the difference took.
        spent_usd: what these cost.
    """

    pool: PoolChanges
    before: int
    kept: int
    added: int
    lost: int
    moved: int
    over: int
    parts: tuple[Part, ...]
    tasks: tuple[ChangedTask, ...]
    reference_model: RetuneDecision
    bought: int
    spent_usd: float


def read_recuration(files: RunFiles) -> Recuration | None:
    """Read what the curation goes on from; None when it is one from scratch."""
    earlier = files.table("earlier/manifest/samples.parquet", schemas.SAMPLES)
    if not earlier.num_rows:
        return None
    samples = read_samples(files.path("manifest"))
    return Recuration(
        changes=pool_changes(earlier, samples, files.table("manifest/quarantine.parquet", schemas.QUARANTINE)),
        earlier_reference=files.table("earlier/reference/reference.parquet", schemas.CHOSEN),
        earlier_selection=files.table("earlier/selection/selection.parquet", schemas.SELECTION),
        clustered_tasks=files.table("clusters/tasks.parquet", schemas.CLUSTERED_TASKS),
        kept=files.table("allocation/kept.parquet", schemas.KEPT_QUOTAS),
        reference_model=read_decision(files.path("reference_model")),
    )


def changes_section(recuration: Recuration | None, run: ReportInputs, tasks: tuple[TaskRow, ...]) -> Section | None:
    """Lay out the section; None for a curation from scratch."""
    if recuration is None:
        return None
    return Section("changes", "What changed", TEMPLATE, changes(recuration, run, tasks))


def changes(recuration: Recuration, run: ReportInputs, tasks: tuple[TaskRow, ...]) -> Changes:
    """Count what is kept, added and lost."""
    reference_before, reference_now = _ids(recuration.earlier_reference), _ids(run.reference)
    before = reference_before | _ids(selected_rows(recuration.earlier_selection))
    now = reference_now | _ids(selected_rows(run.selection))
    kept, added, lost = before & now, now - before, before - now
    named = (("kept", len(kept)), ("added", len(added)), ("lost", len(lost)))
    over = Counter[str]()
    for row in recuration.kept.select(["task", "over"]).to_pylist():
        over[row["task"]] += row["over"]
    bought, spent_usd = _cost(added, run.instructions)
    return Changes(
        pool=recuration.changes,
        before=len(before),
        kept=len(kept),
        added=len(added),
        lost=len(lost),
        moved=len((before - reference_before) & reference_now),
        over=over.total(),
        parts=stacked((name, number) for name, number in named if number),
        tasks=_tasks(recuration, tasks, _tasks_of(kept), _tasks_of(added), over),
        reference_model=recuration.reference_model,
        bought=bought,
        spent_usd=spent_usd,
    )


def _tasks(
    recuration: Recuration, tasks: tuple[TaskRow, ...], kept: Counter[str], added: Counter[str], over: Counter[str]
) -> tuple[ChangedTask, ...]:
    before = Counter({row.task: row.samples for row in tasks})
    before.subtract(_tasks_of(recuration.changes.new))
    before.update(_tasks_of(recuration.changes.gone))
    names = ("verdict", "reason", "new_images", "ratio", "p_value")
    drifts = {row["task"]: Drift(*(row[name] for name in names)) for row in recuration.clustered_tasks.to_pylist()}
    return tuple(
        ChangedTask(
            row=row,
            before=before[row.task],
            kept=kept[row.task],
            added=added[row.task],
            over=over[row.task],
            clusters=drifts.get(row.task),
        )
        for row in tasks
    )


def _cost(added: frozenset[str], instructions: tuple[InstructionTable, ...]) -> tuple[int, float]:
    ids = pa.array(sorted(added), pa.string())
    bought, spent = 0, 0.0
    for part in instructions:
        if part.origin in ORIGINS:
            attempts = part.attempts.filter(pc.is_in(part.attempts["sample_id"], value_set=ids))
            spent += float(pc.sum(attempts["price_usd"]).as_py() or 0)
            bought += part.table.filter(pc.is_in(part.table["sample_id"], value_set=ids)).num_rows
    return bought, spent


def _ids(table: pa.Table) -> frozenset[str]:
    return frozenset(table["sample_id"].to_pylist())


def _tasks_of(sample_ids: Iterable[str]) -> Counter[str]:
    """Samples per task, which a sample id begins with."""
    return Counter(sample_id.rpartition("/")[0] for sample_id in sample_ids)
