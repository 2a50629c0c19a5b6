"""What a run of this control would do and buy."""

from components.plan.choice_plan import ChoicePlan, images_to_tune_on, plan_choice, task_sizes
from components.plan.request import PlanRequest
from components.selection.allocation_rounding import even_quotas
from components.strategies.uniform_task.strategy import STRATEGY

_BASIS = "Every task gets the same number, as far as it has as many; the picks are drawn at random."


def plan(request: PlanRequest) -> ChoicePlan:
    """The split over the tasks is exact."""
    quotas = even_quotas(task_sizes(request.samples), images_to_tune_on(request, STRATEGY))
    return plan_choice(request, STRATEGY, selected=quotas, basis=_BASIS)
