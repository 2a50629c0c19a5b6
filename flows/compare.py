"""The `compare` flow: several strategies over one pool at one budget, side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from pydantic import Field

from components.errors import UserError
from components.parameters.parameters import ParameterError
from components.strategies.names import STRATEGY_NAMES
from flows.comparison import ComparisonOutcome, Run, describe_comparison
from flows.curate import curate
from flows.form import AS_CONFIGURED, BudgetField, EngineChoice, OverlayFields, SettingFields, StrategyField
from flows.outcome import CurationOutcome
from flows.prepare_workspace import NAME, base_parameters, check_name, prepare_workspace
from tasks.platform.curation_run import open_comparison_run, publish_comparison
from tasks.platform.workspace import Workspace


class ComparisonError(UserError, RuntimeError):
    """Some of the runs of a comparison failed."""


@flow(name="compare", flow_run_name="compare {name}", persist_result=False)
def compare(
    strategies: tuple[StrategyField, ...] = ("presel", "random", "full"),
    budget: BudgetField = "",
    seeds: Annotated[int, Field(ge=1)] = 1,
    overlays: OverlayFields = (),
    settings: SettingFields = (),
    name: Annotated[str, Field(pattern=rf"^{NAME.pattern}$")] = "compare",
    annotate_pool: bool = False,
    engine: EngineChoice = AS_CONFIGURED,
) -> ComparisonOutcome:
    """Curate, tune and benchmark with every strategy and seed, then put the results side by side.

    Args:
        strategies: What is compared; with full among them, every score is also given relative to it.
        budget: The same for all: a share (15%), a count (450) or dollars ($20), reference set included. Empty: as
            params.yaml and the overlays say.
        seeds: Runs per strategy, with seed, seed + 1, ...
        overlays: Parameter files laid over params.yaml, in order, such as conf/llava-1.5-7b.yaml.
        settings: Single parameters laid over them, such as tuning.batch_size=8 (params.yaml lists all).
        name: Folder under runs/ for the table and the page; the single runs lie beside it as NAME-STRATEGY-SEED.
        annotate_pool: Pay for instructions of the whole pool where a strategy reads them all (tive, coincide, full).
        engine: Where the heavy stages compute, which changes no result (docs/scale.md).

    Returns:
        Where to look, and the rows.

    Raises:
        ComparisonError: runs failed; those that did not are kept, and the same command continues.
    """
    files = [Path(path) for path in overlays]
    planned = plan_comparison(
        strategies, budget=budget or None, seeds=seeds, overlays=files, settings=settings, name=name
    )
    places = {
        run: prepare_workspace(overlays=files, settings=own, name=_name_of_run(name, run))
        for run, own in planned.items()
    }
    described = (("strategies", ",".join(strategies)), ("budget", budget or AS_CONFIGURED), ("seeds", str(seeds)))
    with open_comparison_run(name, described) as run_id:
        outcomes = _run_all(places, annotate_pool=annotate_pool, engine=engine, run_id=run_id)
        result = describe_comparison(name, places, outcomes, run_id=run_id)
        publish_comparison(run_id, result.metrics, result.page, [result.table])
    return result


def plan_comparison(
    strategies: Sequence[str],
    *,
    budget: str | None,
    seeds: int,
    overlays: Sequence[Path],
    settings: Sequence[str],
    name: str,
) -> dict[Run, list[str]]:
    """The settings of every run of a comparison; nothing is written.

    Args:
        strategies: names.
        budget: the same for all; None: as the parameters say.
        seeds: runs per strategy.
        overlays: parameter files laid over params.yaml.
        settings: `section.key=value`, laid over them.
        name: of the comparison.

    Returns:
        By strategy and seed, all strategies of a seed together.

    Raises:
        ParameterError: a strategy, the number of seeds, the name or the parameters are not usable.
    """
    check_name(name)
    unknown = [strategy for strategy in strategies if strategy not in STRATEGY_NAMES]
    if unknown or not strategies or len(set(strategies)) != len(strategies):
        given = ", ".join(strategies) or "(none)"
        raise ParameterError(f"strategies {given}: name each once, of {', '.join(STRATEGY_NAMES)}")
    if seeds < 1:
        raise ParameterError(f"seeds {seeds}: at least 1")
    shared = [*settings, *([f"budget={json.dumps(budget)}"] if budget is not None else []), "baselines=[]"]
    parameters = base_parameters(overlays, shared)
    if not parameters.benchmark.sets:
        raise ParameterError("benchmark.sets is empty: strategies are compared by their scores; name one set at least")
    first = parameters.seed
    runs = [(strategy, seed) for seed in range(first, first + seeds) for strategy in strategies]
    for run in runs:
        check_name(_name_of_run(name, run))
    return {run: [*shared, f"strategy={run[0]}", f"seed={run[1]}"] for run in runs}


def _name_of_run(name: str, run: Run) -> str:
    return f"{name}-{run[0]}-{run[1]}"


def _run_all(
    places: dict[Run, Workspace], *, annotate_pool: bool, engine: EngineChoice, run_id: str
) -> dict[Run, CurationOutcome]:
    """One curation after the other; a failed one does not take the others with it."""
    outcomes, failed = {}, []
    for (strategy, seed), place in places.items():
        get_run_logger().info("strategy %s, seed %d", strategy, seed)
        state = curate(
            place.root,
            annotate_pool=annotate_pool,
            register_version=False,
            engine=engine,
            comparison_run_id=run_id,
            return_state=True,
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
