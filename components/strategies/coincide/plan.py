"""What a run of COINCIDE would do and buy."""

from components.plan.choice_plan import ChoicePlan, plan_choice
from components.plan.request import PlanRequest
from components.strategies.coincide.strategy import STRATEGY

_BASIS = "How the picks spread over the tasks turns out only when the pool is clustered."


def plan(request: PlanRequest) -> ChoicePlan:
    """The clusters mix the tasks, so nothing is known of these beforehand."""
    return plan_choice(request, STRATEGY, selected=None, basis=_BASIS)
