"""Projected LoRA gradients of a whole annotated pool (TIVE)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from components.compute.engine import Engine
from components.compute.progress import Progress
from components.models.features.extraction import Compute, FeatureResult, extract_features
from components.models.features.per_sample_gradients import attention_lora_matrices, per_sample_gradients
from components.models.features.random_projection import RandomProjection
from components.models.vlm.labels import EncodedSample
from components.models.vlm.load import LoadedVlm
from components.models.vlm.source import VlmSource
from components.pool.samples import InstructedImage


def extract_gradients(
    vlm: VlmSource,
    samples: Sequence[InstructedImage],
    directory: Path,
    *,
    dimension: int,
    seed: int,
    batch_size: int,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
) -> FeatureResult:
    """Store every sample's projected gradient, and its norm before the projection.

    Args:
        vlm: the warm-up model, adapter included.
        samples: with their instructions.
        directory: LanceDB database for exactly this model, dimension and seed; a killed run's is continued.
        dimension: d of the projection.
        seed: of the projection.
        batch_size: samples per backward pass.
        pixel_limit: images with more pixels are not opened.
        progress: told how many samples are done.
        engine: where they are computed.

    Returns:
        Counts, and the samples left out.

    Raises:
        NoLoraError: the adapter does not touch the attention of the language model.
        ValueError: not one sample has a gradient.
    """
    return extract_features(
        vlm,
        samples,
        directory,
        partial(_projecting, dimension=dimension, seed=seed),
        name="gradients",
        batch_size=batch_size,
        pixel_limit=pixel_limit,
        progress=progress,
        engine=engine,
        advice="lower tive.batch_size or vlm.max_pixels",
    )


def _projecting(vlm: LoadedVlm, *, dimension: int, seed: int) -> Compute:
    attention_lora_matrices(vlm)  # raises where there are none
    projection = RandomProjection(dimension, seed=seed, device=vlm.device)
    return lambda encoded: project_gradients(vlm, encoded, projection)


def project_gradients(
    vlm: LoadedVlm, encoded: Sequence[EncodedSample], projection: RandomProjection
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Project the gradients of one batch.

    Args:
        vlm: the model with its adapter.
        encoded: `n` samples.
        projection: to d numbers.

    Returns:
        `(n, d)` float32 projected gradients and `(n,)` float64 L2 norms before the projection.
    """
    projected = torch.zeros(len(encoded), projection.dimension, device=vlm.device)  # (batch, d)
    squares = torch.zeros(len(encoded), dtype=torch.float64, device=vlm.device)  # (batch,)

    def take(name: str, gradients: torch.Tensor) -> None:
        projected.add_(projection.project(name, gradients))
        squares.add_(gradients.double().square().sum(dim=1))

    per_sample_gradients(vlm, encoded, take)
    return projected.cpu().numpy(), squares.sqrt().cpu().numpy()
