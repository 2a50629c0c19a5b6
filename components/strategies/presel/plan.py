"""What a run of PreSel would do and buy, worked out before anything is bought."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.instructions.spending.estimate import UnitCost
from components.plan.request import PlanRequest
from components.schemas import CLUSTERS, IMPORTANCE
from components.selection.allocation import TaskAllocation, allocate
from components.selection.budget import images_to_select
from components.selection.cluster_cells import count_cluster_cells
from components.selection.drawn_selection import draw
from components.selection.reference_set import choose_reference_set
from components.strategies.control_size import control_size
from components.text import aligned_rows, dollars

# What the split of the selection over the tasks rests on.
Basis = Literal["allocation", "importance", "size"]
# A reference sample's score is that of one model on one instruction.
_SCORES_DEPEND_ON = ("instructions", "vlm", "reference", "reference_tune", "tuning", "seed")

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
        name: as in the parameter `baselines`.
        images: it is tuned on.
        to_buy_at_most: of them neither in the reference set nor bought; picks of the selection lower it further.
        cost_at_most_usd: dollars for these.
    """

    name: str
    images: int
    to_buy_at_most: int
    cost_at_most_usd: float


@dataclass(frozen=True, slots=True)
class PreselPlan:
    """What a run would do.

    Attributes:
        pool: samples.
        budget: images that may carry an instruction, reference set included.
        basis: what the split over the tasks rests on.
        tasks: sorted by task.
        baselines: controls.
        spend_at_most_usd: dollars where a run stops buying; None where the provider asks for no money.
    """

    pool: int
    budget: int
    basis: Basis
    tasks: tuple[TaskPlan, ...]
    baselines: tuple[BaselinePlan, ...]
    spend_at_most_usd: float | None

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

    def text(self) -> str:
        """One line per task, then the sums."""
        by_token = any(task.unit.input_tokens for task in self.tasks)
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
            for task in self.tasks
        ]
        return "\n".join([*aligned_rows([header, *rows]), "", *self._sentences()])

    def _sentences(self) -> tuple[str, ...]:
        reference = sum(task.reference for task in self.tasks)
        selected = sum(task.selected for task in self.tasks)
        at_most = dollars(self.baselines_at_most_usd)
        controls = f", and those of the controls up to {at_most} more" if self.baselines else ""
        sentences = [
            f"{self.budget:,} of {self.pool:,} images may carry an instruction: {reference:,} of the reference set and "
            f"{selected:,} to select.",
            _BASIS_TEXT[self.basis],
            f"Instructions would cost {_dollars(self.cost_at_least_usd, self.cost_at_most_usd)}{controls}; annotating "
            f"all {self.pool:,} images would take {dollars(self.full_cost_usd)}.",
        ]
        sentences += [
            f"Baseline {one.name}: {one.images:,} images, up to {one.to_buy_at_most:,} more instructions, "
            f"{dollars(one.cost_at_most_usd)} (`--set baselines=[]` runs without controls)."
            for one in self.baselines
        ]
        limit = self.spend_at_most_usd
        if limit is not None and self.cost_at_most_usd + self.baselines_at_most_usd > limit:
            sentences.append(
                f"That can come to more than purchase.spend_at_most_usd ({dollars(limit)}), where a run stops with "
                "everything kept: raise it, or lower the budget."
            )
        return tuple(sentences)


def plan(request: PlanRequest) -> PreselPlan:
    """Work out what a run would take.

    What an earlier run found of the tasks' importance and clusters is used where it is of exactly these tasks and
    samples; of the project's own run the importance only where this run will score as it did.

    Raises:
        ValueError: the budget leaves nothing to select.
    """
    parameters, samples = request.parameters, request.samples
    ids, names = samples["sample_id"].to_pylist(), samples["task"].to_pylist()
    is_reference = choose_reference_set(ids, names, share=parameters.reference.share, seed=parameters.seed)  # (n,)
    to_select = images_to_select(request.images, int(is_reference.sum()))
    bought = request.find_bought()
    is_bought = np.array([sample_id in bought for sample_id in ids], dtype=np.bool_)  # (n,)
    basis, quotas = _task_quotas(request, ids, names, is_reference, to_select)
    task_of_row = np.asarray(names, dtype=object)  # (n,)
    cost_of_row = np.array([request.unit_costs[name].price_usd for name in names])  # (n,), dollars
    return PreselPlan(
        pool=len(ids),
        budget=request.images,
        basis=basis,
        tasks=tuple(
            _task_plan(
                quota,
                task_of_row == quota.task,
                is_reference,
                is_bought,
                # Until the importance is known a task can get all there is, or what the others have no room for.
                to_select if basis == "size" else None,
                request.unit_costs[quota.task],
            )
            for quota in quotas
        ),
        baselines=tuple(
            _baseline(name, request, is_reference | is_bought, cost_of_row) for name in parameters.baselines
        ),
        spend_at_most_usd=request.spend_at_most_usd,
    )


def _token_cells(task: TaskPlan) -> tuple[str]:
    sent, received = (per * task.to_buy_at_most / 1000 for per in (task.unit.input_tokens, task.unit.output_tokens))
    return (f"{sent:,.1f}k, {received:,.1f}k",)


def _task_quotas(
    request: PlanRequest, ids: Sequence[str], names: Sequence[str], is_reference: NDArray[np.bool_], to_select: int
) -> tuple[Basis, list[TaskAllocation]]:
    importance = request.earlier("scores/importance.parquet", IMPORTANCE, alike=_SCORES_DEPEND_ON)
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
        clusters = request.earlier("clusters/clusters.parquet", CLUSTERS)
        if clusters is not None and sorted(clusters["sample_id"].to_pylist()) == sorted(ids):
            basis = "allocation"
            row_of = {sample_id: row for row, sample_id in enumerate(ids)}
            rows = [row_of[sample_id] for sample_id in clusters["sample_id"].to_pylist()]
            cells = count_cluster_cells(
                clusters["task"].to_pylist(), clusters["cluster"].to_numpy(), is_reference[rows]
            )
    rounding = request.parameters.allocate.rounding
    allocation = allocate(cells.tasks, cells.sizes, cells.available, weights, budget=to_select, profile=rounding)
    return basis, sorted(allocation.tasks, key=lambda one: one.task)


def _task_plan(
    quota: TaskAllocation,
    in_task: NDArray[np.bool_],
    is_reference: NDArray[np.bool_],
    is_bought: NDArray[np.bool_],
    undecided: int | None,
    unit: UnitCost,
) -> TaskPlan:
    """One task's part; `undecided` images are still to be split over the tasks, None: the quota is final."""
    least = most = quota.quota
    if undecided is not None:
        elsewhere = int((~in_task & ~is_reference).sum())
        most = min(int((in_task & ~is_reference).sum()), undecided)
        least = min(most, max(0, undecided - elsewhere))
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
    name: str, request: PlanRequest, has_instruction: NDArray[np.bool_], cost_of_row: NDArray[np.float64]
) -> BaselinePlan:
    ids, rng = request.samples["sample_id"].to_pylist(), np.random.default_rng(request.parameters.seed)
    count = control_size(name, training_set=min(request.images, len(ids)), pool=len(ids))
    taken = draw(ids, count, rng=rng)  # (n,)
    to_buy = taken & ~has_instruction  # (n,)
    return BaselinePlan(name, int(taken.sum()), int(to_buy.sum()), float(cost_of_row[to_buy].sum()))


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _dollars(least: float, most: float) -> str:
    if most - least < 0.005:
        return dollars(most)
    return f"{dollars(least)} to {dollars(most)}, depending on how many picks are bought already"
