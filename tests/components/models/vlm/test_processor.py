"""Tile expansion does not need the video classes."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

from components.models.vlm.load import LoadedVlm
from tests.components.models.vlm.samples import noise_image


@pytest.mark.parametrize(("size", "tiles"), [((64, 64), (2, 2)), ((64, 30), (1, 2)), ((20, 20), (2, 2))])
def test_smolvlm_images_expand_as_its_own_code_does(
    size: tuple[int, int], tiles: tuple[int, int], loaded: object
) -> None:
    assert callable(loaded)
    vlm: LoadedVlm = loaded("smolvlm")
    rows, columns = tiles
    expected = get_image_prompt_string(
        rows,
        columns,
        4,
        fake_token_around_image="<fake_token_around_image>",
        image_token="<image>",
        global_image_token="<global-img>",
    )
    outputs = vlm.processor(images=[noise_image(*size, seed=1)], text=["<image>"])
    assert vlm.processor.tokenizer.decode(outputs["input_ids"][0]) == expected
    assert torch.as_tensor(outputs["pixel_values"][0]).shape[0] == rows * columns + 1


@pytest.mark.parametrize("size", [(64, 64), (70, 40), (24, 90), (8, 8)])
@pytest.mark.parametrize("architecture", ["pixtral", "mistral3"])
def test_pixtral_images_expand_as_its_own_code_does(
    architecture: str, size: tuple[int, int], loaded: Callable[[str], LoadedVlm], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own class is imported with empty modules for torchvision, which its text expansion does not use."""
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.v2"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    functional = ModuleType("torchvision.transforms.v2.functional")
    monkeypatch.setattr(sys.modules["torchvision.transforms.v2"], "functional", functional, raising=False)
    monkeypatch.setitem(sys.modules, functional.__name__, functional)
    for name in ("image_processing_pixtral", "processing_pixtral"):
        monkeypatch.delitem(sys.modules, f"transformers.models.pixtral.{name}", raising=False)
    own_class = importlib.import_module("transformers.models.pixtral.processing_pixtral").PixtralProcessor
    ours = loaded(architecture).processor
    own = object.__new__(own_class)
    own.__dict__.update(ours.__dict__)
    image = noise_image(*size, seed=1)
    outputs = [each(images=[image], text=["[IMG]a"], return_tensors="pt") for each in (ours, own)]
    assert outputs[0]["input_ids"].tolist() == outputs[1]["input_ids"].tolist()
    assert torch.equal(outputs[0]["pixel_values"], outputs[1]["pixel_values"])
