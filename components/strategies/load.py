"""A strategy by its name; only that one is imported, because a cached run of another must not import torch for it."""

from importlib import import_module
from importlib.util import find_spec

from components.parameters.section import Section
from components.strategies.names import STRATEGY_NAMES, check_strategy_name
from components.strategies.strategy import Strategy


def load_strategy(name: str) -> Strategy:
    """The strategy of that name: `STRATEGY` of `components.strategies.NAME.strategy`.

    Raises:
        ValueError: there is no such strategy.
    """
    strategy = import_module(f"components.strategies.{check_strategy_name(name)}.strategy").STRATEGY
    assert isinstance(strategy, Strategy)
    return strategy


def strategies_that(able: str) -> tuple[str, ...]:
    """Names of the strategies of which a fact is true.

    Args:
        able: an attribute of `Strategy` that is true or false, such as `can_recurate`.
    """
    return tuple(name for name in STRATEGY_NAMES if getattr(load_strategy(name), able))


def load_sections() -> dict[str, type[Section]]:
    """The sections of params.yaml that belong to one strategy each, by its name.

    That is `SECTION` of `components.strategies.NAME.parameters`; not every strategy has one.
    """
    modules = {name: f"components.strategies.{name}.parameters" for name in STRATEGY_NAMES}
    return {name: import_module(module).SECTION for name, module in modules.items() if find_spec(module)}
