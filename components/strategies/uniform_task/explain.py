"""Why a sample was or was not drawn from its task."""

from components.explain.explanation import Explanation
from components.explain.find_sample import PoolSample
from components.explain.selected import explain_drawn
from components.strategies.run_files import RunFiles


def explain(sample: PoolSample, run: RunFiles) -> Explanation:
    """Its chance."""
    return explain_drawn(sample, run)
