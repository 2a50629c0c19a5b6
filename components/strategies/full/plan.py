"""What a run on the whole pool would do and buy."""

from components.plan.choice_plan import ChoicePlan, plan_choice, task_sizes
from components.plan.request import PlanRequest
from components.strategies.full.strategy import STRATEGY

_BASIS = "The whole pool is annotated and tuned on, whatever the budget."


def plan(request: PlanRequest) -> ChoicePlan:
    """Every task is taken whole."""
    return plan_choice(request, STRATEGY, selected=task_sizes(request.samples), basis=_BASIS)
