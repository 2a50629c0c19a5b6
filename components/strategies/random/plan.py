"""What a run of this control would do and buy."""

import numpy as np

from components.plan.choice_plan import ChoicePlan, images_to_tune_on, picked_by_task, plan_choice
from components.plan.request import PlanRequest
from components.strategies.random.select import select_uniformly
from components.strategies.random.strategy import STRATEGY

_BASIS = "The picks are drawn uniformly from the pool, so every task gets about its share."


def plan(request: PlanRequest) -> ChoicePlan:
    """Draws as the run will."""
    rng = np.random.default_rng(request.parameters.seed)
    selection = select_uniformly(request.samples, budget=images_to_tune_on(request, STRATEGY), rng=rng)
    return plan_choice(request, STRATEGY, selected=picked_by_task(selection), basis=_BASIS)
