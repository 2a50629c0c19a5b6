from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

SHAPE = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def save_toy_encoder(folder: Path, *, registers: int, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    if registers:
        model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=registers, **SHAPE))
    else:
        model = Dinov2Model(Dinov2Config(**SHAPE))
    model.save_pretrained(folder)
    size = {"shortest_edge": 36}
    BitImageProcessorPil(size=size, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", params=[0, 4], ids=["plain", "registers"])
def encoder_folder(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(f"dinov2-{request.param}")
    return save_toy_encoder(folder, registers=request.param)


@pytest.fixture(scope="session")
def plain_encoder_folder(tmp_path_factory) -> Path:
    return save_toy_encoder(tmp_path_factory.mktemp("dinov2"), registers=0)


def noise_image(seed: int, *, size: tuple[int, int] = (50, 40)) -> Image.Image:
    width, height = size
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())
