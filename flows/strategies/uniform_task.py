"""Control: the same number from every task, at random."""

from flows.strategies.chosen import Chosen
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.uniform_task import uniform_task_select


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """The same number from every task, at random within it."""
    return Chosen(uniform_task_select(run, manifest), evidence=(), computed=())
