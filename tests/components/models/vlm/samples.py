"""Images and conversations of varying size, drawn with a seed."""

from pathlib import Path

import numpy as np
from PIL import Image

from components.models.vlm.load import LoadedVlm, load_vlm
from components.parameters.parameters import VlmParameters
from components.pool.samples import InstructedImage, Turn
from tests.components.models.vlm.toy_architectures import CONTEXT_LENGTH

PIXEL_LIMIT = 1_000_000
WORDS = ("red", "green", "circle", "square", "left", "of", "two", "three", "What", "colour?", "Ça", "12", "Yes.")


def load_toy(folder: Path, *, context_length: int = CONTEXT_LENGTH, adapter: Path | None = None) -> LoadedVlm:
    """Load a toy model on the CPU in float32."""
    return load_vlm(toy_parameters(folder, context_length=context_length), adapter=adapter)


def toy_parameters(folder: Path, *, context_length: int = CONTEXT_LENGTH) -> VlmParameters:
    """A toy model on the CPU in float32."""
    return VlmParameters(
        model=str(folder),
        revision=None,
        context_length=context_length,
        device="cpu",
        dtype="float32",
        max_pixels=None,
        template_arguments={},
    )


def noise_image(width: int, height: int, *, seed: int) -> Image.Image:
    """An RGB image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def draw_samples(folder: Path, count: int, *, seed: int, turns: int = 3) -> list[InstructedImage]:
    """Samples with 1 to `turns` turns, texts and images of different lengths and shapes."""
    generator = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(generator.choice(WORDS, size=generator.integers(1, 9)))

    samples = []
    for index in range(count):
        path = folder / f"{index}.png"
        width, height = (int(side) for side in generator.integers(18, 90, size=2))
        noise_image(width, height, seed=seed + index).save(path)
        conversation = tuple(Turn(text(), text()) for _ in range(generator.integers(1, turns + 1)))
        samples.append(InstructedImage(f"task/{index}", "task", str(path), "", conversation))
    return samples
