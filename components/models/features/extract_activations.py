"""Pooled attention activations of a whole annotated pool (COINCIDE)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.compute.engine import Engine
from components.compute.progress import Progress
from components.models.features.activations import chosen_attention, pooled_activations
from components.models.features.extraction import Compute, FeatureResult, extract_features
from components.models.vlm.labels import EncodedSample
from components.models.vlm.load import LoadedVlm
from components.models.vlm.source import VlmSource
from components.pool.samples import InstructedImage


def extract_activations(
    vlm: VlmSource,
    samples: Sequence[InstructedImage],
    directory: Path,
    *,
    layers: Sequence[int],
    batch_size: int,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
) -> FeatureResult:
    """Store every sample's pooled activations.

    Args:
        vlm: the small model.
        samples: with their instructions.
        directory: LanceDB database for exactly this model and these layers; a killed run's is continued.
        layers: decoder layers, from 0.
        batch_size: samples per forward pass.
        pixel_limit: images with more pixels are not opened.
        progress: told how many samples are done.
        engine: where they are computed.

    Returns:
        Counts, and the samples left out.

    Raises:
        ValueError: the model has no such layer, or not one sample has activations.
    """
    return extract_features(
        vlm,
        samples,
        directory,
        partial(_pooling, layers=layers),
        name="activations",
        batch_size=batch_size,
        pixel_limit=pixel_limit,
        progress=progress,
        engine=engine,
        advice="lower coincide.batch_size or vlm.max_pixels",
    )


def _pooling(vlm: LoadedVlm, *, layers: Sequence[int]) -> Compute:
    attention = chosen_attention(vlm, layers)  # raises where there is no such layer

    def compute(encoded: Sequence[EncodedSample]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        vectors = pooled_activations(vlm, encoded, attention).numpy()  # (n, d)
        return vectors, np.linalg.norm(vectors.astype(np.float64), axis=1)

    return compute
