"""Stage activations: what a small model's attention makes of every sample."""

from pathlib import Path

import pyarrow as pa

from components.models.features.feature_store import feature_bytes
from components.parameters.parameters import Parameters, VlmParameters
from components.strategies.coincide.parameters import CoincideParameters
from tasks.bodies.features import pool_samples, save_features
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


def _small_model(parameters: Parameters) -> VlmParameters:
    own = parameters.section(CoincideParameters)
    return parameters.vlm.model_copy(update={"model": own.model, "revision": own.revision})


def _disk(samples: pa.Table, parameters: Parameters, _directory: Path) -> int:
    from components.models.features.activations import activation_width  # it imports torch, as below

    width = activation_width(_small_model(parameters), parameters.section(CoincideParameters).layers)
    return feature_bytes(samples.num_rows, width)


@stage(
    "attention activations of a small model, one vector per sample",
    reads=("inputs/concept_model.json", "instructions/pool", "manifest/samples.parquet"),
    parameters=(
        "coincide.model",
        "coincide.revision",
        "coincide.layers",
        "vlm.context_length",
        "vlm.max_pixels",
        "vlm.template_arguments",
        "vlm.dtype",
        "ingest.pixel_limit",
    ),
    writes="activations",
    restored=True,
    uses="gpu",
    memory=("coincide.batch_size",),
    disk=_disk,
)
def activations(context: StageContext) -> StageSummary:
    """Pooled attention outputs of the chosen layers."""
    # These import torch, which a cached run does without.
    from components.models.features.extract_activations import extract_activations
    from components.models.vlm.source import VlmFiles

    parameters, own = context.parameters, context.parameters.section(CoincideParameters)
    return save_features(
        context,
        lambda directory: extract_activations(
            VlmFiles(_small_model(parameters)),
            pool_samples(context),
            directory,
            layers=own.layers,
            batch_size=own.batch_size,
            pixel_limit=parameters.ingest.pixel_limit,
            progress=context.progress("activations of samples:"),
            engine=context.engine,
        ),
    )
