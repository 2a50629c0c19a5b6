"""The plan of a strategy that picks the whole budget at once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from components.instructions.missing import pool_refusal
from components.instructions.open_provider import PROVIDERS
from components.plan.request import PlanRequest
from components.strategies.strategy import Strategy
from components.text import aligned_rows, dollars


@dataclass(frozen=True, slots=True)
class TaskChoice:
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
class ChoicePlan:
    """What a run would do.

    Attributes:
        strategy: that chooses.
        budget: images to tune on.
        tasks: sorted by task.
        basis: what the split over the tasks rests on, in a sentence.
        instructions: that choosing and tuning take.
        without_instruction: of these, those nobody has written yet, at most.
        cost_usd: dollars for all these instructions.
        refusal: why `presel run` would stop before it begins; empty when it would not.
    """

    strategy: Strategy
    budget: int
    tasks: tuple[TaskChoice, ...]
    basis: str
    instructions: int
    without_instruction: int
    cost_usd: float
    refusal: str

    @property
    def pool(self) -> int:
        """Samples of the pool."""
        return sum(task.images for task in self.tasks)

    def text(self) -> str:
        """One line per task, then what the table does not say by itself."""
        header = ("task", "images", "without instruction", "to select")
        rows = [
            (
                task.task,
                f"{task.images:,}",
                f"{task.without_instruction:,}",
                "not known yet" if task.selected is None else f"{task.selected:,}",
            )
            for task in self.tasks
        ]
        reads = self.strategy.reads_pool_instructions
        who = "the instruction of every sample" if reads else "instructions only for the images it chooses"
        sentences = [
            f"Strategy {self.strategy.name} needs {who}: {self.instructions:,} of {self.pool:,}, booked at "
            f"{dollars(self.cost_usd)} ({dollars(self.cost_usd / self.instructions)} each; what the ledger holds is "
            "not paid for again).",
            f"Nobody has written {self.without_instruction:,} of them yet, or fewer: they would have to be bought."
            if self.without_instruction and not reads
            else "",
            f"{self.budget:,} images would be tuned on. {self.basis}",
            f"presel run would stop: {self.refusal}." if self.refusal else "",
        ]
        return "\n".join([*aligned_rows([header, *rows]), "", *(sentence for sentence in sentences if sentence)])


def plan_choice(
    request: PlanRequest, strategy: Strategy, *, selected: Mapping[str, int] | None, basis: str
) -> ChoicePlan:
    """Work out what such a strategy takes.

    Args:
        request: what is known.
        strategy: that chooses.
        selected: images to pick by task, those without any left out; None where that is not known yet.
        basis: what they rest on, in a sentence.
    """
    samples, missing = request.samples, request.find_missing()
    pairs = list(zip(samples["sample_id"].to_pylist(), samples["task"].to_pylist(), strict=True))
    sizes = Counter(task for _, task in pairs)
    lacking = Counter(task for sample_id, task in pairs if sample_id in missing)
    pool, budget = samples.num_rows, images_to_tune_on(request, strategy)
    reads_all = strategy.reads_pool_instructions
    whole_usd = sum(request.unit_costs[task].price_usd * size for task, size in sizes.items())
    return ChoicePlan(
        strategy=strategy,
        budget=budget,
        tasks=tuple(
            TaskChoice(task, sizes[task], lacking[task], None if selected is None else selected.get(task, 0))
            for task in sorted(sizes)
        ),
        basis=basis,
        instructions=pool if reads_all else budget,
        without_instruction=len(missing) if reads_all else min(budget, len(missing)),
        # What is not known yet is taken to spread over the tasks as the pool does.
        cost_usd=whole_usd if reads_all or not pool else whole_usd * budget / pool,
        refusal=_refusal(request, strategy, lacking) if reads_all and missing else "",
    )


def images_to_tune_on(request: PlanRequest, strategy: Strategy) -> int:
    """The budget in images, at most the pool; all of it for a strategy that takes the whole pool."""
    pool: int = request.samples.num_rows
    return pool if strategy.takes_whole_pool else min(request.images, pool)


def task_sizes(samples: pa.Table) -> dict[str, int]:
    """Samples of every task, sorted by task."""
    return dict(sorted(Counter(samples["task"].to_pylist()).items()))


def picked_by_task(selection: pa.Table) -> dict[str, int]:
    """Picks of every task that has some, from SELECTION."""
    return dict(Counter(selection.filter(selection["picked"])["task"].to_pylist()))


def _refusal(request: PlanRequest, strategy: Strategy, lacking: Mapping[str, int]) -> str:
    return pool_refusal(
        strategy=strategy.name,
        missing=sum(lacking.values()),
        pool=request.samples.num_rows,
        price_usd=sum(request.unit_costs[task].price_usd * count for task, count in lacking.items()),
        can_write=PROVIDERS[request.parameters.instructions.provider].writes,
    )
