"""The strategies there are: the one place that lists them.

`components/strategies/NAME` is what a strategy computes, `tasks/strategies/NAME` its stages, `flows/strategies/NAME.py`
its steps.
"""

from difflib import get_close_matches

STRATEGY_NAMES: tuple[str, ...] = (
    "presel",
    "tive",
    "coincide",
    "size_balanced",
    "uniform_task",
    "random",
    "full",
)


def check_strategy_name(name: str) -> str:
    """A strategy's name as it is.

    Raises:
        ValueError: there is no such strategy.
    """
    if name not in STRATEGY_NAMES:
        near = get_close_matches(name, STRATEGY_NAMES, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"no strategy is called {name!r}, there are {', '.join(STRATEGY_NAMES)}{meant}")
    return name
