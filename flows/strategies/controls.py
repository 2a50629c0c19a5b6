"""Strategies that do not look at the images."""

from flows.purchase import buy
from flows.strategies.chosen import Chosen
from tasks.controls import full_select, random_select, uniform_task_select
from tasks.instruct import instruct_pool
from tasks.platform.stage import CurationRun
from tasks.platform.versioning import Artifact


def choose_at_random(run: CurationRun, manifest: Artifact) -> Chosen:
    """Uniformly from the pool."""
    return Chosen(random_select(run, manifest), evidence=(), computed=())


def choose_uniformly_by_task(run: CurationRun, manifest: Artifact) -> Chosen:
    """The same number from every task, at random within it."""
    return Chosen(uniform_task_select(run, manifest), evidence=(), computed=())


def choose_everything(run: CurationRun, manifest: Artifact) -> Chosen:
    """The whole pool: what the others are measured against."""
    instructions = buy(run, instruct_pool, manifest)
    return Chosen(full_select(run, manifest), evidence=(), computed=(), annotated=(instructions,))
