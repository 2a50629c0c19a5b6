"""The strategy that the parameters name."""

from collections.abc import Callable

from components.parameters.parameters import StrategyName
from flows.strategies.chosen import Chosen
from flows.strategies.coincide import choose_with_coincide
from flows.strategies.controls import choose_at_random, choose_everything, choose_uniformly_by_task
from flows.strategies.presel import choose_with_presel
from flows.strategies.size_balanced import choose_size_balanced
from flows.strategies.tive import choose_with_tive
from tasks.platform.stage import CurationRun
from tasks.platform.versioning import Artifact

STEPS: dict[StrategyName, Callable[[CurationRun, Artifact], Chosen]] = {
    "presel": choose_with_presel,
    "tive": choose_with_tive,
    "coincide": choose_with_coincide,
    "size_balanced": choose_size_balanced,
    "uniform_task": choose_uniformly_by_task,
    "random": choose_at_random,
    "full": choose_everything,
}


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """Decide which images deserve an instruction, as the run's parameters say."""
    return STEPS[run.workspace.parameters().strategy](run, manifest)
