"""The language model is found by structure, and LoRA is put on it alone."""

import pytest
from torch import nn

from components.models.vlm.language_model import LanguageModelError, language_model_linear_names, lora_targets
from components.models.vlm.load import LoadedVlm


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

    with pytest.raises(LanguageModelError, match="Bare"):
        language_model_linear_names(Bare())


@pytest.mark.parametrize("wanted", [("q_proj", "v_proj"), ("self_attn.q_proj", "self_attn.v_proj")])
def test_layers_of_the_same_name_in_the_vision_tower_are_left_alone(wanted: tuple[str, ...], vlm: LoadedVlm) -> None:
    names = lora_targets(vlm.model, wanted)
    assert len(names) == 2 * 2  # layers, projections
    assert names == [name for name in language_model_linear_names(vlm.model) if name.endswith(wanted)]
    assert not any("vision" in name or "visual" in name for name in names)


def test_all_linear_is_all_of_the_language_model(vlm: LoadedVlm) -> None:
    assert lora_targets(vlm.model, "all-linear") == language_model_linear_names(vlm.model)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("q_proj", "nowhere"), "no linear layer nowhere; it has .*q_proj"),
        ((), "an empty list"),
        (("lm_head",), "lm_head"),
    ],
)
def test_an_ending_that_is_no_layer_of_it_is_named(wanted: tuple[str, ...], said: str, vlm: LoadedVlm) -> None:
    with pytest.raises(LanguageModelError, match=said):
        lora_targets(vlm.model, wanted)
