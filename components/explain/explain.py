"""Why a sample was or was not picked, asked of the strategy of its run."""

from importlib import import_module

from components.explain.explanation import Explanation, quarantine_explained
from components.explain.find_sample import QuarantinedRecord, find_sample
from components.schemas import QUARANTINE, SAMPLES
from components.strategies.run_files import RunFiles


def explain_sample(name: str, run: RunFiles) -> Explanation:
    """Explain what became of a sample, by `explain` of `components.strategies.NAME.explain`.

    Args:
        name: a sample id, a record id, an image path or the start of an image's sha256.
        run: that has selected.

    Raises:
        ParameterError: the run has not selected yet.
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    samples = run.table("manifest/samples.parquet", SAMPLES)
    found = find_sample(name, samples, run.table("manifest/quarantine.parquet", QUARANTINE))
    if isinstance(found, QuarantinedRecord):
        return quarantine_explained(found)
    strategy = import_module(f"components.strategies.{run.parameters.strategy}.explain")
    explanation: Explanation = strategy.explain(found, run)
    return explanation
