"""The stages of a strategy, in the order in which they run: those of every strategy around its own."""

from importlib import import_module

from components.strategies.names import check_strategy_name
from tasks.assemble import assemble
from tasks.baseline_select import baseline_select
from tasks.benchmark import benchmark_base, benchmark_baseline, benchmark_tuned
from tasks.ingest import ingest
from tasks.instruct import baseline_instruct, instruct_selection
from tasks.platform.declaration import StageDeclaration
from tasks.platform.stage import StageTask
from tasks.report import report
from tasks.tune import baseline_tune, tune

_BEFORE = (ingest,)
_AFTER = (
    instruct_selection,
    assemble,
    tune,
    baseline_select,
    baseline_instruct,
    baseline_tune,
    benchmark_base,
    benchmark_tuned,
    benchmark_baseline,
    report,
)


def stages_of(strategy: str) -> tuple[StageTask, ...]:
    """All stages of a strategy.

    Args:
        strategy: its name; `STAGES` of `tasks.strategies.NAME` are those between the pool and the instructions of what
            was picked.

    Raises:
        ValueError: there is no such strategy.
    """
    own: tuple[StageTask, ...] = import_module(f"tasks.strategies.{check_strategy_name(strategy)}").STAGES
    return (*_BEFORE, *own, *_AFTER)


def declarations_of(strategy: str) -> tuple[StageDeclaration, ...]:
    """What the stages of a strategy say of themselves, in the order in which they run."""
    return tuple(stage.declaration for stage in stages_of(strategy))


def find_stage(strategy: str, name: str) -> StageTask:
    """A stage of a strategy by its name in dvc.yaml, with or without `@item`.

    Raises:
        KeyError: the strategy has none of that name.
    """
    stages = {stage.name: stage for stage in stages_of(strategy)}
    return stages[name.partition("@")[0]]
