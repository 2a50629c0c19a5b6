"""What a run of another strategy than PreSel would do and buy, worked out before anything is bought."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.instructions.spending.estimate import UnitCost
from components.money import dollars
from components.selection.allocation import allocate
from components.selection.allocation_rounding import even_quotas
from components.selection.budget import parse_budget, resolve_budget
from components.selection.cluster_cells import count_cluster_cells
from components.strategies.full.select import select_everything
from components.strategies.load import load_strategy
from components.strategies.random.select import select_uniformly
from components.strategies.tive.task_difficulty import QuotaRounding, tive_quotas
from components.text_table import aligned_rows

_BASIS: dict[str, str] = {
    "tive": "How difficult each task is turns out only when its gradients are known.",
    "coincide": "How the picks spread over the tasks turns out only when the pool is clustered.",
    "size_balanced": "Every task gets its share of the pool; the picks are its most central images.",
    "uniform_task": "Every task gets the same number, as far as it has as many; the picks are drawn at random.",
    "random": "The picks are drawn uniformly from the pool, so every task gets about its share.",
    "full": "The whole pool is annotated and tuned on, whatever the budget.",
}

_KNOWN = "The split over the tasks follows the difficulty that an earlier run found."


@dataclass(frozen=True, slots=True)
class StrategyTask:
    """One task's part.

    Attributes:
        task: its name.
        images: of the pool.
        without_instruction: of them, those nobody has written an instruction for.
        selected: images to pick; None where that is not known yet.
    """

    task: str
    images: int
    without_instruction: int
    selected: int | None


@dataclass(frozen=True, slots=True)
class StrategyPlan:
    """What a run would do.

    Attributes:
        strategy: its name.
        budget: images to tune on.
        tasks: sorted by task.
        instructions: that choosing and tuning take.
        without_instruction: of these, those nobody has written yet, at most.
        cost_usd: dollars for all these instructions.
        refusal: why `presel run` would stop before it begins; empty when it would not.
    """

    strategy: str
    budget: int
    tasks: tuple[StrategyTask, ...]
    instructions: int
    without_instruction: int
    cost_usd: float
    refusal: str

    @property
    def pool(self) -> int:
        """Samples of the pool."""
        return sum(task.images for task in self.tasks)


def plan_strategy(
    samples: pa.Table,
    *,
    strategy: str,
    budget: str | int | float,
    seed: int,
    price_per_instruction_usd: float,
    unit_costs: Mapping[str, UnitCost],
    missing: frozenset[str],
    refusal: str = "",
    difficulty: pa.Table | None = None,
    tive_rounding: QuotaRounding = "exact",
) -> StrategyPlan:
    """Work out what a run would take.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        strategy: any but PreSel.
        budget: as in the parameters.
        seed: of the run.
        price_per_instruction_usd: dollars that a budget in dollars is divided by.
        unit_costs: what one instruction of each task takes.
        missing: sample ids without an instruction.
        refusal: what `presel run` would say to that; empty when it would go on.
        difficulty: of an earlier run of TIVE, columns of `components.schemas.DIFFICULTY`; ignored unless it covers
            exactly the pool's tasks.
        tive_rounding: of TIVE's quotas.

    Returns:
        The plan.

    Raises:
        ValueError: the budget is not understood.
    """
    sizes = Counter(samples["task"].to_pylist())
    pairs = zip(samples["sample_id"].to_pylist(), samples["task"].to_pylist(), strict=True)
    lacking = Counter(task for sample_id, task in pairs if sample_id in missing)
    pool = samples.num_rows
    images = resolve_budget(parse_budget(budget), pool_size=pool, dollars_per_image=price_per_instruction_usd)
    images = pool if strategy == "full" else min(images, pool)
    selected = _selected(samples, strategy, images, seed, sizes, difficulty, tive_rounding)
    reads_all = load_strategy(strategy).reads_pool_instructions
    whole_usd = sum(unit_costs[task].price_usd * size for task, size in sizes.items())
    return StrategyPlan(
        strategy=strategy,
        budget=images,
        tasks=tuple(
            StrategyTask(task, sizes[task], lacking[task], None if selected is None else selected.get(task, 0))
            for task in sorted(sizes)
        ),
        instructions=samples.num_rows if reads_all else images,
        without_instruction=len(missing) if reads_all else min(images, len(missing)),
        # What is not known yet is taken to spread over the tasks as the pool does.
        cost_usd=whole_usd if reads_all or not pool else whole_usd * images / pool,
        refusal=refusal,
    )


def strategy_plan_text(plan: StrategyPlan) -> str:
    """Render a plan as plain text: one line per task, then what the table does not say by itself."""
    header = ("task", "images", "without instruction", "to select")
    rows = [
        (
            task.task,
            f"{task.images:,}",
            f"{task.without_instruction:,}",
            "not known yet" if task.selected is None else f"{task.selected:,}",
        )
        for task in plan.tasks
    ]
    known = all(task.selected is not None for task in plan.tasks)
    basis = _KNOWN if known and plan.strategy == "tive" else _BASIS[plan.strategy]
    pool = plan.pool
    reads = load_strategy(plan.strategy).reads_pool_instructions
    who = "the instruction of every sample" if reads else "instructions only for the images it chooses"
    sentences = [
        f"Strategy {plan.strategy} needs {who}: {plan.instructions:,} of {pool:,}, booked at "
        f"{dollars(plan.cost_usd)} ({dollars(plan.cost_usd / plan.instructions)} each; what the ledger holds is not "
        "paid for again).",
        f"Nobody has written {plan.without_instruction:,} of them yet, or fewer: they would have to be bought."
        if plan.without_instruction and not reads
        else "",
        f"{plan.budget:,} images would be tuned on. {basis}",
        f"presel run would stop: {plan.refusal}." if plan.refusal else "",
    ]
    return "\n".join([*aligned_rows([header, *rows]), "", *(sentence.strip() for sentence in sentences if sentence)])


def _selected(
    samples: pa.Table,
    strategy: str,
    images: int,
    seed: int,
    sizes: Mapping[str, int],
    difficulty: pa.Table | None,
    tive_rounding: QuotaRounding,
) -> dict[str, int] | None:
    if strategy == "random":
        return _picked(select_uniformly(samples, budget=images, rng=np.random.default_rng(seed)))
    if strategy == "full":
        return _picked(select_everything(samples))
    if strategy == "uniform_task":
        return even_quotas(sizes, images)
    if strategy == "size_balanced":
        names = samples["task"].to_pylist()
        one_cluster, nobody = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=np.bool_)
        cells = count_cluster_cells(names, one_cluster, nobody)
        weights = {task: size / len(names) for task, size in sizes.items()}
        result = allocate(cells.tasks, cells.sizes, cells.available, weights, budget=images, profile="exact")
        return {one.task: one.quota for one in result.tasks}
    if strategy == "tive" and difficulty is not None and difficulty["task"].to_pylist() == sorted(sizes):
        shares = difficulty["share"].to_pylist()
        quotas = tive_quotas(shares, [sizes[task] for task in sorted(sizes)], budget=images, rounding=tive_rounding)
        return dict(zip(sorted(sizes), quotas, strict=True))
    return None


def _picked(selection: pa.Table) -> dict[str, int]:
    return dict(Counter(row["task"] for row in selection.select(["task", "picked"]).to_pylist() if row["picked"]))
