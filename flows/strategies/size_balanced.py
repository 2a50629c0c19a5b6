"""PreSel without task importance."""

from flows.strategies.chosen import Chosen
from tasks.cluster import cluster
from tasks.embed import embed
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.size_balanced.allocate import size_balanced_allocate
from tasks.strategies.size_balanced.select import size_balanced_select


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """Every task its share of the pool; within a task the images that stand for the others."""
    vectors = embed(run, manifest)
    clusters = cluster(run, manifest, vectors)
    quotas = size_balanced_allocate(run, clusters)
    selection = size_balanced_select(run, quotas, clusters, vectors)
    return Chosen(selection, evidence=(clusters, quotas), computed=(vectors, clusters, quotas))
