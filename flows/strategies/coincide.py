"""COINCIDE (EMNLP 2024, arXiv 2406.10995)."""

from flows.purchase import buy
from flows.strategies.chosen import Chosen
from tasks.instruct import instruct_pool
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.coincide.activations import activations
from tasks.strategies.coincide.coincide_select import coincide_select
from tasks.strategies.coincide.concept_shares import concept_shares
from tasks.strategies.coincide.concepts import concepts


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """Clusters of what a small model sees in image and text; most from those that carry over and vary."""
    instructions = buy(run, instruct_pool, manifest)
    pool_activations = activations(run, instructions)

    clusters = concepts(run, pool_activations)
    shares = concept_shares(run, clusters, pool_activations)
    selection = coincide_select(run, shares, clusters, pool_activations)
    return Chosen(
        selection,
        evidence=(clusters, shares),
        computed=(pool_activations, clusters, shares),
        annotated=(instructions,),
    )
