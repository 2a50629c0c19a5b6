"""Control: uniformly from the pool."""

from flows.strategies.chosen import Chosen
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.random import random_select


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """Uniformly from the pool."""
    return Chosen(random_select(run, manifest), evidence=(), computed=())
