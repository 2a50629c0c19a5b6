"""Why a sample was or was not picked without task importance."""

from components.explain.centrality import explain_by_centrality
from components.explain.explanation import Explanation
from components.explain.find_sample import PoolSample
from components.strategies.run_files import RunFiles


def explain(sample: PoolSample, run: RunFiles) -> Explanation:
    """Its cluster, and its place in it."""
    return explain_by_centrality(sample, run)
