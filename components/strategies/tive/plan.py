"""What a run of TIVE would do and buy."""

from components.plan.choice_plan import ChoicePlan, images_to_tune_on, plan_choice, task_sizes
from components.plan.request import PlanRequest
from components.schemas import DIFFICULTY
from components.strategies.tive.parameters import TiveParameters
from components.strategies.tive.strategy import STRATEGY
from components.strategies.tive.task_difficulty import tive_quotas

_UNKNOWN = "How difficult each task is turns out only when its gradients are known."
_KNOWN = "The split over the tasks follows the difficulty that an earlier run found."


def plan(request: PlanRequest) -> ChoicePlan:
    """The split follows the difficulty that an earlier run found, where that is of exactly the pool's tasks."""
    sizes = task_sizes(request.samples)
    difficulty = request.earlier("influence/difficulty.parquet", DIFFICULTY)
    if difficulty is None or difficulty["task"].to_pylist() != list(sizes):
        return plan_choice(request, STRATEGY, selected=None, basis=_UNKNOWN)
    quotas = tive_quotas(
        difficulty["share"].to_pylist(),
        list(sizes.values()),
        budget=images_to_tune_on(request, STRATEGY),
        rounding=request.parameters.section(TiveParameters).rounding,
    )
    return plan_choice(request, STRATEGY, selected=dict(zip(sizes, quotas, strict=True)), basis=_KNOWN)
