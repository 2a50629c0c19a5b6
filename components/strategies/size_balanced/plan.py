"""What a run of PreSel without task importance would do and buy."""

import numpy as np

from components.plan.choice_plan import ChoicePlan, images_to_tune_on, plan_choice, task_sizes
from components.plan.request import PlanRequest
from components.selection.allocation import allocate
from components.selection.cluster_cells import count_cluster_cells
from components.strategies.size_balanced.strategy import STRATEGY

_BASIS = "Every task gets its share of the pool; the picks are its most central images."


def plan(request: PlanRequest) -> ChoicePlan:
    """The split over the tasks is known, whatever their clusters turn out to be."""
    names = request.samples["task"].to_pylist()
    one_cluster, nobody = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=np.bool_)
    cells = count_cluster_cells(names, one_cluster, nobody)
    weights = {task: size / len(names) for task, size in task_sizes(request.samples).items()}
    budget = images_to_tune_on(request, STRATEGY)
    result = allocate(cells.tasks, cells.sizes, cells.available, weights, budget=budget, profile="exact")
    return plan_choice(request, STRATEGY, selected={one.task: one.quota for one in result.tasks}, basis=_BASIS)
