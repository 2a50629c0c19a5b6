"""Control: the same number from every task, at random."""

from flows.strategies.chosen import Chosen
from tasks.controls import uniform_task_select
from tasks.platform.stage import CurationRun
from tasks.platform.versioning import Artifact


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """The same number from every task, at random within it."""
    return Chosen(uniform_task_select(run, manifest), evidence=(), computed=())
