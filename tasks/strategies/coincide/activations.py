"""Stage activations: what a small model's attention makes of every sample."""

from components.strategies.coincide.parameters import CoincideParameters
from tasks.bodies.features import pool_samples, save_features
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


@stage(
    "attention activations of a small model, one vector per sample",
    reads=("inputs/concept_model.json", "instructions/pool", "manifest/samples.parquet"),
    parameters=(
        "coincide.model",
        "coincide.revision",
        "coincide.layers",
        "vlm.context_length",
        "vlm.dtype",
        "ingest.pixel_limit",
    ),
    writes="activations",
    restored=True,
    uses="gpu",
    memory=("coincide.batch_size",),
)
def activations(context: StageContext) -> StageSummary:
    """Pooled attention outputs of the chosen layers."""
    # These import torch, which a cached run does without.
    from components.models.features.extract_activations import extract_activations
    from components.models.vlm.load import load_vlm

    parameters, own = context.parameters, context.parameters.section(CoincideParameters)
    small_model = parameters.vlm.model_copy(update={"model": own.model, "revision": own.revision})
    return save_features(
        context,
        lambda directory: extract_activations(
            load_vlm(small_model),
            pool_samples(context),
            directory,
            layers=own.layers,
            batch_size=own.batch_size,
            pixel_limit=parameters.ingest.pixel_limit,
            progress=context.progress("activations of samples:"),
        ),
    )
