"""TIVE (arXiv 2403.09559)."""

from flows.purchase import buy
from flows.strategies.chosen import Chosen
from tasks.instruct import instruct_pool
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.tive.gradients import gradients
from tasks.strategies.tive.influence import influence
from tasks.strategies.tive.tive_select import tive_select
from tasks.strategies.tive.warm_up import warm_up
from tasks.strategies.tive.warm_up_tune import warm_up_tune


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """How much each instruction would change the model, and how much its task as a whole."""
    instructions = buy(run, instruct_pool, manifest)

    warm_up_set = warm_up(run, instructions)
    warm_up_model = warm_up_tune(run, warm_up_set, instructions)
    pool_gradients = gradients(run, warm_up_model, instructions)

    influences = influence(run, pool_gradients, instructions)
    selection = tive_select(run, influences)
    return Chosen(
        selection,
        evidence=(warm_up_set, influences),
        computed=(warm_up_set, warm_up_model, pool_gradients, influences),
        annotated=(instructions,),
    )
