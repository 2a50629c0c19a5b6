"""What changed since the curation before: the pool, what was picked, what was computed anew, what it cost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.money import dollars
from components.report.inputs import Costs, InstructionTable, RecurationEvidence
from components.report.number_text import count, decimal, quantity
from components.report.task_rows import TaskRow, selected_rows

ORIGINS = ("reference", "selection")


@dataclass(frozen=True, slots=True)
class ChangePart:
    """A part of the bar of what is chosen: its key for the colour, name, count, start and width from 0 to 100."""

    key: str
    name: str
    count: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One task; texts.

    Attributes:
        task: its name.
        colour: index of its colour, -1 for grey.
        before: samples of the earlier pool.
        now: samples.
        kept: chosen before and now, reference set included.
        added: chosen now only.
        over: kept beyond what the clusters would be given today.
        clusters: what was done with its clusters.
        reason: why.
    """

    task: str
    colour: int
    before: str
    now: str
    kept: str
    added: str
    over: str
    clusters: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChangesView:
    """The section.

    Attributes:
        pool: what happened to the pool, one sentence per fact.
        gone: why samples left it, reason and count.
        chosen: what happened to what is chosen, one sentence per fact.
        parts: kept, added and lost as one bar.
        rows: per task.
        reference_model: what was done with it and why.
        cost: of the difference, and to date.
    """

    pool: tuple[str, ...]
    gone: tuple[tuple[str, str], ...]
    chosen: tuple[str, ...]
    parts: tuple[ChangePart, ...]
    rows: tuple[ChangeRow, ...]
    reference_model: str
    cost: str


@dataclass(frozen=True, slots=True)
class _Chosen:
    before: frozenset[str]
    reference_before: frozenset[str]
    now: frozenset[str]
    reference_now: frozenset[str]

    @property
    def kept(self) -> frozenset[str]:
        return self.before & self.now

    @property
    def added(self) -> frozenset[str]:
        return self.now - self.before

    @property
    def lost(self) -> frozenset[str]:
        return self.before - self.now

    @property
    def moved(self) -> frozenset[str]:
        """Picked before, members of the reference set now."""
        return (self.before - self.reference_before) & self.reference_now


def changes_view(
    tasks: tuple[TaskRow, ...],
    evidence: RecurationEvidence | None,
    reference: pa.Table,
    selection: pa.Table,
    costs: Costs,
    instructions: tuple[InstructionTable, ...],
) -> ChangesView | None:
    """Lay out the section; None for a curation from scratch."""
    if evidence is None:
        return None
    chosen = _Chosen(
        before=_ids(evidence.earlier_reference) | _ids(selected_rows(evidence.earlier_selection)),
        reference_before=_ids(evidence.earlier_reference),
        now=_ids(reference) | _ids(selected_rows(selection)),
        reference_now=_ids(reference),
    )
    decision = evidence.reference_model
    return ChangesView(
        pool=_pool_sentences(evidence),
        gone=tuple((item.reason, count(item.count)) for item in evidence.changes.gone_reasons),
        chosen=_chosen_sentences(chosen, evidence),
        parts=_parts(chosen),
        rows=_rows(tasks, evidence, chosen),
        reference_model=f"{'Tuned again' if decision.retune else 'Kept'}: {decision.reason}.",
        cost=_cost(chosen, costs, instructions),
    )


def _pool_sentences(evidence: RecurationEvidence) -> tuple[str, ...]:
    changes = evidence.changes
    changed = f", {count(len(changes.changed))} of them files with other bytes than before" if changes.changed else ""
    sentences = [
        f"The pool had {quantity(changes.before, 'sample')} and has {count(changes.now)}: "
        f"{count(len(changes.new))} are new{changed}, {count(len(changes.gone))} are gone."
    ]
    sentences += [f"New: task {task}." for task in changes.new_tasks]
    sentences += [f"Gone: task {task}." for task in changes.gone_tasks]
    return tuple(sentences)


def _chosen_sentences(chosen: _Chosen, evidence: RecurationEvidence) -> tuple[str, ...]:
    sentences = [
        f"Of {quantity(len(chosen.before), 'instruction')} there were, {count(len(chosen.kept))} are kept; "
        f"{count(len(chosen.added))} are added."
    ]
    if chosen.lost:
        sentences.append(f"{count(len(chosen.lost))} belong to images that left the pool and are used no longer.")
    if chosen.moved:
        sentences.append(
            f"{quantity(len(chosen.moved), 'earlier pick')} joined the reference set with "
            f"{'its' if len(chosen.moved) == 1 else 'their'} instruction, which costs nothing."
        )
    over = int(pc.sum(evidence.kept["over"]).as_py() or 0)
    if over:
        sentences.append(
            f"{quantity(over, 'kept image')} more than their clusters would be given today; nothing that was paid for "
            "is thrown away, the other clusters get that much less."
        )
    return tuple(sentences)


def _parts(chosen: _Chosen) -> tuple[ChangePart, ...]:
    named = (("kept", "kept", chosen.kept), ("added", "added", chosen.added), ("lost", "left the pool", chosen.lost))
    total = sum(len(members) for _, _, members in named)
    parts, start = [], 0.0
    for key, name, members in named:
        if members:
            width = 100 * len(members) / total
            parts.append(ChangePart(key, name, count(len(members)), round(start, 2), round(width, 2)))
            start += width
    return tuple(parts)


def _rows(tasks: tuple[TaskRow, ...], evidence: RecurationEvidence, chosen: _Chosen) -> tuple[ChangeRow, ...]:
    before = Counter({row.task: row.samples for row in tasks})
    before.subtract(_tasks_of(evidence.changes.new))
    before.update(_tasks_of(evidence.changes.gone))
    kept, added = _tasks_of(chosen.kept), _tasks_of(chosen.added)
    over: Counter[str] = Counter()
    for row in evidence.kept.select(["task", "over"]).to_pylist():
        over[row["task"]] += row["over"]
    clustered = {row["task"]: row for row in evidence.clustered_tasks.to_pylist()}
    return tuple(
        ChangeRow(
            task=task.task,
            colour=task.colour,
            before=count(before[task.task]),
            now=count(task.samples),
            kept=count(kept[task.task]),
            added=count(added[task.task]),
            over=count(over[task.task]),
            clusters=str(clustered[task.task]["verdict"]) if task.task in clustered else "",
            reason=_drift_text(clustered[task.task]) if task.task in clustered else "",
        )
        for task in tasks
    )


def _drift_text(row: dict[str, object]) -> str:
    ratio, p_value = float(str(row["ratio"])), float(str(row["p_value"]))
    if row["verdict"] == "kept" and row["new_images"]:
        return (
            f"{count(int(str(row['new_images'])))} new, {decimal(ratio, digits=2)} times as far, p {decimal(p_value)}"
        )
    return str(row["reason"])


def _cost(chosen: _Chosen, costs: Costs, instructions: tuple[InstructionTable, ...]) -> str:
    added = pa.array(sorted(chosen.added), pa.string())
    spent, bought = 0.0, 0
    for part in instructions:
        if part.origin in ORIGINS:
            attempts = part.attempts.filter(pc.is_in(part.attempts["sample_id"], value_set=added))
            spent += float(pc.sum(attempts["price_usd"]).as_py() or 0)
            bought += part.table.filter(pc.is_in(part.table["sample_id"], value_set=added)).num_rows
    return (
        f"The difference took {quantity(bought, 'instruction')} for {dollars(spent)}. The training set's "
        f"{count(costs.instructions)} came to {dollars(costs.spent_usd)} in all; the ledger holds "
        f"{count(costs.instructions_to_date)} for {dollars(costs.to_date_usd)}, every run and control included."
    )


def _ids(table: pa.Table) -> frozenset[str]:
    return frozenset(table["sample_id"].to_pylist())


def _tasks_of(sample_ids: Iterable[str]) -> Counter[str]:
    """Samples per task, which a sample id begins with."""
    return Counter(sample_id.rpartition("/")[0] for sample_id in sample_ids)
