"""Tile expansion does not need the video classes."""

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
