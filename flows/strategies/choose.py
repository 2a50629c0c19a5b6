"""The strategy that the parameters name."""

from importlib import import_module

from flows.strategies.chosen import Chosen
from tasks.platform.stage import CurationRun
from tasks.platform.versioning import Artifact


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """Decide which images deserve an instruction, by the steps of `flows.strategies.NAME`."""
    steps = import_module(f"flows.strategies.{run.workspace.parameters().strategy}")
    chosen = steps.choose(run, manifest)
    assert isinstance(chosen, Chosen)
    return chosen
