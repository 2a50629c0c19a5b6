"""The language model is found by structure, and tile expansion does not need the video classes."""

import pytest
import torch
from torch import nn
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

from components.models.vlm.load import LoadedVlm
from components.models.vlm.special_cases import language_model_linear_names
from tests.components.models.vlm.samples import noise_image


def test_linear_layers_are_those_of_the_language_model(vlm: LoadedVlm) -> None:
    names = language_model_linear_names(vlm.model)
    projections = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert len(names) == 2 * len(projections)  # two layers
    assert {name.rpartition(".")[2] for name in names} == set(projections)
    assert all(isinstance(vlm.model.get_submodule(name), nn.Linear) for name in names)
    assert not any("vision" in name or "visual" in name or "head" in name for name in names)


def test_model_without_a_language_model_is_named() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(3, 2)

        def get_input_embeddings(self) -> nn.Module:
            return self.table

    with pytest.raises(ValueError, match=r"tuning\.target_modules"):
        language_model_linear_names(Bare())


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
