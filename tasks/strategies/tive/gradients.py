"""Stage gradients: the projected LoRA gradient of every sample, and its norm."""

from pathlib import Path

import pyarrow as pa

from components.models.features.feature_store import feature_bytes
from components.parameters.parameters import Parameters
from components.strategies.tive.parameters import TiveParameters
from tasks.bodies.features import pool_samples, save_features
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary


def _disk(samples: pa.Table, parameters: Parameters, _directory: Path) -> int:
    return feature_bytes(samples.num_rows, parameters.section(TiveParameters).projection)


@stage(
    "projected LoRA gradient of every sample, and its norm",
    reads=("inputs/vlm.json", "instructions/pool", "manifest/samples.parquet", "warm_up_model"),
    parameters=("vlm", "tive.projection", "seed", "ingest.pixel_limit"),
    writes="gradients",
    restored=True,
    uses="gpu",
    memory=("tive.batch_size", "vlm.context_length"),
    disk=_disk,
)
def gradients(context: StageContext) -> StageSummary:
    """Gradients of the response loss at the warm-up model."""
    # These import torch, which a cached run does without.
    from components.models.features.extract_gradients import extract_gradients
    from components.models.vlm.source import VlmFiles

    parameters = context.parameters
    return save_features(
        context,
        lambda directory: extract_gradients(
            VlmFiles(parameters.vlm, context.input("warm_up_model") / "adapter"),
            pool_samples(context),
            directory,
            dimension=parameters.section(TiveParameters).projection,
            seed=parameters.seed,
            batch_size=parameters.section(TiveParameters).batch_size,
            pixel_limit=parameters.ingest.pixel_limit,
            progress=context.progress("gradients of samples:"),
            engine=context.engine,
        ),
    )
