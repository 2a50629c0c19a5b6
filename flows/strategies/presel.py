"""PreSel (CVPR 2025, arXiv 2503.07591)."""

from flows.purchase import buy
from flows.strategies.chosen import Chosen
from tasks.cluster import cluster
from tasks.embed import embed
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.presel.allocate import allocate
from tasks.strategies.presel.instruct_reference import instruct_reference
from tasks.strategies.presel.reference import reference
from tasks.strategies.presel.reference_tune import reference_tune
from tasks.strategies.presel.score import score
from tasks.strategies.presel.select import select


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """How important each task is, learnt from a few instructions; then the images that stand for the others."""
    vectors = embed(run, manifest)

    reference_set = reference(run, manifest)
    instructions = buy(run, instruct_reference, manifest, reference_set)
    reference_model = reference_tune(run, instructions)
    importance = score(run, reference_model, instructions)

    clusters = cluster(run, manifest, vectors)
    quotas = allocate(run, importance, clusters, reference_set)
    selection = select(run, quotas, clusters, vectors)
    return Chosen(
        selection,
        evidence=(importance, clusters, quotas),
        computed=(vectors, reference_model, importance, clusters, quotas),
        annotated=(instructions,),
    )
