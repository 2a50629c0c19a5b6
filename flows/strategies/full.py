"""Control: the whole pool, whatever the budget."""

from flows.purchase import buy
from flows.strategies.chosen import Chosen
from tasks.instruct import instruct_pool
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.full import full_select


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """The whole pool: what the others are measured against."""
    instructions = buy(run, instruct_pool, manifest)
    return Chosen(full_select(run, manifest), evidence=(), computed=(), annotated=(instructions,))
