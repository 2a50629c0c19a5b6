"""The plan of a run, asked of its strategy."""

from importlib import import_module

from components.plan.request import Plan, PlanRequest


def plan_run(request: PlanRequest) -> Plan:
    """Work out what a run would do and buy, by `plan` of `components.strategies.NAME.plan`; nothing is bought.

    Raises:
        ValueError: the budget is not understood, or leaves nothing to select.
    """
    plan: Plan = import_module(f"components.strategies.{request.parameters.strategy}.plan").plan(request)
    return plan
