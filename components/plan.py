"""What a run would do and buy, worked out before anything is bought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.parameters import Baseline
from components.selection.allocation import RoundingProfile, TaskAllocation, allocate
from components.selection.budget import images_to_select, parse_budget, resolve_budget
from components.selection.cluster_cells import count_cluster_cells
from components.selection.reference_set import choose_reference_set
from components.selection.select import select_random

# What the split of the selection over the tasks rests on.
Basis = Literal["allocation", "importance", "size"]

_BASIS_TEXT: dict[Basis, str] = {
    "allocation": "The split over the tasks is exact: their importance and clusters are known.",
    "importance": "The split over the tasks follows the importance found before, to within a few images.",
    "size": (
        "How important each task is turns out only after the reference tune; until then the split follows the "
        "tasks' sizes, and the range says what each task can get."
    ),
}


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task's part.

    Attributes:
        task: the task.
        images: of the pool.
        reference: of them in the reference set.
        reference_bought: of those, with an instruction in the ledger.
        selected: images to pick, as estimated.
        selected_at_least: whatever the importance turns out to be.
        selected_at_most: whatever the importance turns out to be.
        others_bought: images outside the reference set with an instruction in the ledger; picks among them
            cost nothing.
    """

    task: str
    images: int
    reference: int
    reference_bought: int
    selected: int
    selected_at_least: int
    selected_at_most: int
    others_bought: int

    @property
    def to_buy_at_most(self) -> int:
        """Instructions to buy when no pick has one yet."""
        return self.reference - self.reference_bought + self.selected

    @property
    def to_buy_at_least(self) -> int:
        """Instructions to buy when as many picks as possible have one already."""
        return self.reference - self.reference_bought + max(0, self.selected - self.others_bought)


@dataclass(frozen=True, slots=True)
class BaselinePlan:
    """What a control takes.

    Attributes:
        name: `random` or `full`.
        images: it is tuned on.
        to_buy_at_most: of them neither in the reference set nor bought; picks of the selection lower it further.
    """

    name: Baseline
    images: int
    to_buy_at_most: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would do.

    Attributes:
        pool: samples.
        budget: images that may carry an instruction, reference set included.
        basis: what the split over the tasks rests on.
        tasks: sorted by task.
        baselines: controls.
        price_per_instruction_usd: dollars.
    """

    pool: int
    budget: int
    basis: Basis
    tasks: tuple[TaskPlan, ...]
    baselines: tuple[BaselinePlan, ...]
    price_per_instruction_usd: float

    @property
    def cost_at_least_usd(self) -> float:
        """Dollars for reference set and selection when as many picks as possible are bought already."""
        return self.price_per_instruction_usd * sum(task.to_buy_at_least for task in self.tasks)

    @property
    def cost_at_most_usd(self) -> float:
        """Dollars for reference set and selection when no pick is bought yet."""
        return self.price_per_instruction_usd * sum(task.to_buy_at_most for task in self.tasks)

    @property
    def baselines_at_most_usd(self) -> float:
        """Dollars for the controls on top."""
        return self.price_per_instruction_usd * sum(one.to_buy_at_most for one in self.baselines)

    @property
    def full_cost_usd(self) -> float:
        """Dollars that annotating the whole pool would take."""
        return self.price_per_instruction_usd * self.pool


def plan_run(
    samples: pa.Table,
    *,
    budget: str | int | float,
    reference_share: float,
    seed: int,
    rounding: RoundingProfile,
    price_per_instruction_usd: float,
    baselines: Sequence[Baseline] = (),
    bought: frozenset[str] = frozenset(),
    importance: pa.Table | None = None,
    clusters: pa.Table | None = None,
) -> RunPlan:
    """Work out what a run would take.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        budget: as in the parameters.
        reference_share: r.
        seed: of the run.
        rounding: profile of Eq. 6.
        price_per_instruction_usd: dollars.
        baselines: controls that are tuned as well.
        bought: sample ids with an instruction in the ledger.
        importance: of an earlier run, columns of `components.schemas.IMPORTANCE`; ignored unless it covers
            exactly the pool's tasks.
        clusters: of an earlier run, columns of `components.schemas.CLUSTERS`; ignored unless they are of exactly
            the pool's samples and the importance is used.

    Returns:
        The plan.

    Raises:
        ValueError: the budget is not understood, or leaves nothing to select.
    """
    ids, names = samples["sample_id"].to_pylist(), samples["task"].to_pylist()
    is_reference = choose_reference_set(ids, names, share=reference_share, seed=seed)  # (n,)
    images = resolve_budget(parse_budget(budget), pool_size=len(ids), dollars_per_image=price_per_instruction_usd)
    to_select = images_to_select(images, int(is_reference.sum()))
    is_bought = np.array([sample_id in bought for sample_id in ids], dtype=np.bool_)  # (n,)
    basis, quotas = _task_quotas(ids, names, is_reference, importance, clusters, to_select, rounding)
    task_of_row = np.asarray(names, dtype=object)  # (n,)
    free = {quota.task: int(((task_of_row == quota.task) & ~is_reference).sum()) for quota in quotas}
    return RunPlan(
        pool=len(ids),
        budget=images,
        basis=basis,
        tasks=tuple(
            _task_plan(quota, task_of_row == quota.task, is_reference, is_bought, basis, free, to_select)
            for quota in quotas
        ),
        baselines=tuple(_baseline(name, ids, is_reference | is_bought, images=images, seed=seed) for name in baselines),
        price_per_instruction_usd=price_per_instruction_usd,
    )


def plan_text(plan: RunPlan) -> str:
    """Render a plan as plain text: one line per task, then the sums."""
    header = ("task", "images", "reference", "bought", "to select", "range", "dollars")
    rows = [
        (
            task.task,
            f"{task.images:,}",
            f"{task.reference:,}",
            f"{task.reference_bought + task.others_bought:,}",
            f"{task.selected:,}",
            _range(task.selected_at_least, task.selected_at_most),
            f"{plan.price_per_instruction_usd * task.to_buy_at_most:,.2f}",
        )
        for task in plan.tasks
    ]
    return "\n".join([*aligned_rows([header, *rows]), "", *plan_sentences(plan)])


def aligned_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows of equal length out in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]))
    return lines


def plan_sentences(plan: RunPlan) -> tuple[str, ...]:
    """What the table of a plan does not say by itself."""
    reference = sum(task.reference for task in plan.tasks)
    selected = sum(task.selected for task in plan.tasks)
    sentences = [
        f"{plan.budget:,} of {plan.pool:,} images may carry an instruction: {reference:,} of the reference set and "
        f"{selected:,} to select.",
        _BASIS_TEXT[plan.basis],
        f"Instructions would cost {_dollars(plan.cost_at_least_usd, plan.cost_at_most_usd)}; annotating all "
        f"{plan.pool:,} images would take ${plan.full_cost_usd:,.2f}.",
    ]
    sentences += [
        f"Baseline {one.name}: {one.images:,} images, up to {one.to_buy_at_most:,} more instructions, "
        f"${plan.price_per_instruction_usd * one.to_buy_at_most:,.2f}."
        for one in plan.baselines
    ]
    return tuple(sentences)


def _task_quotas(
    ids: Sequence[str],
    names: Sequence[str],
    is_reference: NDArray[np.bool_],
    importance: pa.Table | None,
    clusters: pa.Table | None,
    to_select: int,
    rounding: RoundingProfile,
) -> tuple[Basis, list[TaskAllocation]]:
    tasks = sorted(set(names))
    # Without clusters every task is one.
    cells = count_cluster_cells(names, np.zeros(len(ids), dtype=np.int64), is_reference)
    if importance is None or sorted(importance["task"].to_pylist()) != tasks:
        basis: Basis = "size"
        available = dict(zip(cells.tasks, cells.available.tolist(), strict=True))
        weights = {task: available[task] / sum(available.values()) for task in tasks}
    else:
        basis = "importance"
        weights = dict(zip(importance["task"].to_pylist(), importance["weight"].to_pylist(), strict=True))
        if clusters is not None and sorted(clusters["sample_id"].to_pylist()) == sorted(ids):
            basis = "allocation"
            row_of = {sample_id: row for row, sample_id in enumerate(ids)}
            rows = [row_of[sample_id] for sample_id in clusters["sample_id"].to_pylist()]
            cells = count_cluster_cells(
                clusters["task"].to_pylist(), clusters["cluster"].to_numpy(), is_reference[rows]
            )
    allocation = allocate(cells.tasks, cells.sizes, cells.available, weights, budget=to_select, profile=rounding)
    return basis, sorted(allocation.tasks, key=lambda one: one.task)


def _task_plan(
    quota: TaskAllocation,
    in_task: NDArray[np.bool_],
    is_reference: NDArray[np.bool_],
    is_bought: NDArray[np.bool_],
    basis: Basis,
    free: Mapping[str, int],
    to_select: int,
) -> TaskPlan:
    least = most = quota.quota
    if basis == "size":
        elsewhere = sum(free.values()) - free[quota.task]
        least = min(free[quota.task], max(0, to_select - elsewhere))
        most = min(free[quota.task], to_select)
    return TaskPlan(
        task=quota.task,
        images=int(in_task.sum()),
        reference=int((in_task & is_reference).sum()),
        reference_bought=int((in_task & is_reference & is_bought).sum()),
        selected=quota.quota,
        selected_at_least=least,
        selected_at_most=most,
        others_bought=int((in_task & ~is_reference & is_bought).sum()),
    )


def _baseline(
    name: Baseline, ids: Sequence[str], has_instruction: NDArray[np.bool_], *, images: int, seed: int
) -> BaselinePlan:
    taken = np.ones(len(ids), dtype=np.bool_)  # (n,)
    if name == "random":
        nobody = np.zeros(len(ids), dtype=np.bool_)
        taken = select_random(ids, nobody, budget=min(images, len(ids)), rng=np.random.default_rng(seed))
    return BaselinePlan(name, int(taken.sum()), int((taken & ~has_instruction).sum()))


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _dollars(least: float, most: float) -> str:
    if most - least < 0.005:
        return f"${most:,.2f}"
    return f"${least:,.2f} to ${most:,.2f}, depending on how many picks are bought already"
