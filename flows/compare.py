"""The `compare` flow: several strategies over one pool at one budget, side by side."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow, get_run_logger

from components.parameters import ParameterError, StrategyName
from components.strategies import STRATEGIES
from flows.comparison import ComparisonOutcome, describe_comparison
from flows.curate import curate
from flows.outcome import CurationOutcome
from flows.prepare_workspace import base_seed, prepare_workspace
from tasks.comparison_run import open_comparison_run, publish_comparison
from tasks.workspace import Workspace


class ComparisonError(RuntimeError):
    """Some of the runs of a comparison failed."""


@flow(name="compare", flow_run_name="compare {name}", persist_result=False)
def compare(
    strategies: list[StrategyName],
    budget: str | None = None,
    seeds: int = 1,
    overlays: list[str] | None = None,
    settings: list[str] | None = None,
    name: str = "compare",
    annotate_pool: bool = False,
) -> ComparisonOutcome:
    """Curate, tune and benchmark with every strategy and seed, then put the results side by side.

    Args:
        strategies: names; with `full` among them, every score is also given relative to it.
        budget: share, count or dollars, the same for all; None: as the parameters say.
        seeds: runs per strategy.
        overlays: parameter files laid over params.yaml, relative to the project root.
        settings: `section.key=value`, laid over them.
        name: folder under `runs/`; the single runs lie beside it as `NAME-STRATEGY-SEED`.
        annotate_pool: buy instructions for the whole pool where a strategy reads them all.

    Returns:
        Where to look, and the rows.

    Raises:
        ComparisonError: runs failed; those that did not are kept, and the same command continues.
    """
    _check(strategies, seeds)
    shared = [*(settings or []), *([f'budget="{budget}"'] if budget is not None else []), "baselines=[]"]
    files = [Path(path) for path in overlays or []]
    first = base_seed(files, shared)
    places = {
        (strategy, seed): prepare_workspace(
            overlays=files,
            settings=[*shared, f"strategy={strategy}", f"seed={seed}"],
            name=f"{name}-{strategy}-{seed}",
        )
        for seed in range(first, first + seeds)
        for strategy in strategies
    }
    described = (("strategies", ",".join(strategies)), ("budget", str(budget)), ("seeds", str(seeds)))
    with open_comparison_run(name, described) as run_id:
        outcomes = _run_all(places, annotate_pool=annotate_pool, run_id=run_id)
        result = describe_comparison(name, places, outcomes, run_id=run_id)
        publish_comparison(run_id, result.metrics, result.page, [result.table])
    return result


def _check(strategies: Sequence[str], seeds: int) -> None:
    unknown = [strategy for strategy in strategies if strategy not in STRATEGIES]
    if unknown or not strategies or len(set(strategies)) != len(strategies):
        given = ", ".join(strategies) or "(none)"
        raise ParameterError(f"strategies {given}: name each once, of {', '.join(STRATEGIES)}")
    if seeds < 1:
        raise ParameterError(f"seeds {seeds}: at least 1")


def _run_all(
    places: dict[tuple[StrategyName, int], Workspace], *, annotate_pool: bool, run_id: str
) -> dict[tuple[StrategyName, int], CurationOutcome]:
    """One curation after the other; a failed one does not take the others with it."""
    outcomes, failed = {}, []
    for (strategy, seed), place in places.items():
        get_run_logger().info("strategy %s, seed %d", strategy, seed)
        state = curate(
            place.root, annotate_pool=annotate_pool, register=False, comparison_run_id=run_id, return_state=True
        )
        if state.is_completed():
            outcome = state.result()
            assert isinstance(outcome, CurationOutcome)
            outcomes[strategy, seed] = outcome
        else:
            failed.append(f"{strategy} with seed {seed}: {state.message}")
    if failed:
        raise ComparisonError(f"{len(failed)} of {len(places)} runs did not finish.\n" + "\n".join(failed))
    return outcomes
