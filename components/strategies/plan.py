"""What a run would do and buy, worked out before anything is bought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.instructions.spending.estimate import UnitCost
from components.money import dollars
from components.parameters.parameters import Baseline
from components.selection.allocation import RoundingProfile, TaskAllocation, allocate
from components.selection.budget import images_to_select, parse_budget, resolve_budget
from components.selection.cluster_cells import count_cluster_cells
from components.selection.reference_set import choose_reference_set
from components.selection.select_random import select_random
from components.text_table import aligned_rows

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
        unit: what one instruction of the task takes.
    """

    task: str
    images: int
    reference: int
    reference_bought: int
    selected: int
    selected_at_least: int
    selected_at_most: int
    others_bought: int
    unit: UnitCost

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
        cost_at_most_usd: dollars for these.
    """

    name: Baseline
    images: int
    to_buy_at_most: int
    cost_at_most_usd: float


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would do.

    Attributes:
        pool: samples.
        budget: images that may carry an instruction, reference set included.
        basis: what the split over the tasks rests on.
        tasks: sorted by task.
        baselines: controls.
    """

    pool: int
    budget: int
    basis: Basis
    tasks: tuple[TaskPlan, ...]
    baselines: tuple[BaselinePlan, ...]

    @property
    def cost_at_least_usd(self) -> float:
        """Dollars for reference set and selection when as many picks as possible are bought already."""
        return sum(task.unit.price_usd * task.to_buy_at_least for task in self.tasks)

    @property
    def cost_at_most_usd(self) -> float:
        """Dollars for reference set and selection when no pick is bought yet."""
        return sum(task.unit.price_usd * task.to_buy_at_most for task in self.tasks)

    @property
    def baselines_at_most_usd(self) -> float:
        """Dollars for the controls on top."""
        return sum(one.cost_at_most_usd for one in self.baselines)

    @property
    def full_cost_usd(self) -> float:
        """Dollars that annotating the whole pool would take."""
        return sum(task.unit.price_usd * task.images for task in self.tasks)


def plan_run(
    samples: pa.Table,
    *,
    budget: str | int | float,
    reference_share: float,
    seed: int,
    rounding: RoundingProfile,
    price_per_instruction_usd: float,
    unit_costs: Mapping[str, UnitCost],
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
        price_per_instruction_usd: dollars that a budget in dollars is divided by.
        unit_costs: what one instruction of each task takes.
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
    cost_of_row = np.array([unit_costs[name].price_usd for name in names])  # (n,), dollars
    free = {quota.task: int(((task_of_row == quota.task) & ~is_reference).sum()) for quota in quotas}
    return RunPlan(
        pool=len(ids),
        budget=images,
        basis=basis,
        tasks=tuple(
            _task_plan(
                quota,
                task_of_row == quota.task,
                is_reference,
                is_bought,
                basis,
                free,
                to_select,
                unit_costs[quota.task],
            )
            for quota in quotas
        ),
        baselines=tuple(
            _baseline(name, ids, is_reference | is_bought, cost_of_row, images=images, seed=seed) for name in baselines
        ),
    )


def plan_text(plan: RunPlan) -> str:
    """Render a plan as plain text: one line per task, then the sums."""
    by_token = any(task.unit.input_tokens for task in plan.tasks)
    tokens = ("tokens in, out",) if by_token else ()
    header = ("task", "images", "reference", "bought", "select", "range", *tokens, "dollars")
    rows = [
        (
            task.task,
            f"{task.images:,}",
            f"{task.reference:,}",
            f"{task.reference_bought + task.others_bought:,}",
            f"{task.selected:,}",
            _range(task.selected_at_least, task.selected_at_most),
            *(_token_cells(task) if by_token else ()),
            f"{task.unit.price_usd * task.to_buy_at_most:,.2f}",
        )
        for task in plan.tasks
    ]
    return "\n".join([*aligned_rows([header, *rows]), "", *plan_sentences(plan)])


def _token_cells(task: TaskPlan) -> tuple[str]:
    sent, received = (per * task.to_buy_at_most / 1000 for per in (task.unit.input_tokens, task.unit.output_tokens))
    return (f"{sent:,.1f}k, {received:,.1f}k",)


def plan_sentences(plan: RunPlan) -> tuple[str, ...]:
    """What the table of a plan does not say by itself."""
    reference = sum(task.reference for task in plan.tasks)
    selected = sum(task.selected for task in plan.tasks)
    sentences = [
        f"{plan.budget:,} of {plan.pool:,} images may carry an instruction: {reference:,} of the reference set and "
        f"{selected:,} to select.",
        _BASIS_TEXT[plan.basis],
        f"Instructions would cost {_dollars(plan.cost_at_least_usd, plan.cost_at_most_usd)}"
        + (f", and those of the controls up to {dollars(plan.baselines_at_most_usd)} more" if plan.baselines else "")
        + f"; annotating all {plan.pool:,} images would take {dollars(plan.full_cost_usd)}.",
    ]
    sentences += [
        f"Baseline {one.name}: {one.images:,} images, up to {one.to_buy_at_most:,} more instructions, "
        f"{dollars(one.cost_at_most_usd)} (`--set baselines=[]` runs without controls)."
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
    unit: UnitCost,
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
        unit=unit,
    )


def _baseline(
    name: Baseline,
    ids: Sequence[str],
    has_instruction: NDArray[np.bool_],
    cost_of_row: NDArray[np.float64],
    *,
    images: int,
    seed: int,
) -> BaselinePlan:
    taken = np.ones(len(ids), dtype=np.bool_)  # (n,)
    if name == "random":
        nobody = np.zeros(len(ids), dtype=np.bool_)
        taken = select_random(ids, nobody, budget=min(images, len(ids)), rng=np.random.default_rng(seed))
    to_buy = taken & ~has_instruction  # (n,)
    return BaselinePlan(name, int(taken.sum()), int(to_buy.sum()), float(cost_of_row[to_buy].sum()))


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _dollars(least: float, most: float) -> str:
    if most - least < 0.005:
        return dollars(most)
    return f"{dollars(least)} to {dollars(most)}, depending on how many picks are bought already"
