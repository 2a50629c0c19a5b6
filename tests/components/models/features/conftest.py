"""Toy models with LoRA on every linear layer of the language model, for the tests of components.models.features."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from components.models.vlm.language_model import language_model_linear_names
from components.models.vlm.load import LoadedVlm
from tests.components.models.vlm.samples import load_toy
from tests.components.models.vlm.toy_architectures import EXAMPLES, save_toy_vlm


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a toy architecture, built once per session."""
    root = tmp_path_factory.mktemp("toy_vlms")
    return lru_cache(maxsize=None)(lambda architecture: save_toy_vlm(architecture, root / architecture))


@pytest.fixture(params=EXAMPLES)
def base(request: pytest.FixtureRequest, toy_folder: Callable[[str], Path]) -> LoadedVlm:
    """Several toy architectures in turn."""
    return load_toy(toy_folder(request.param))


@pytest.fixture
def adapted(base: LoadedVlm) -> LoadedVlm:
    """The same with LoRA whose matrix B is not zero, as after a tune."""
    return with_lora(base)


def with_lora(base: LoadedVlm) -> LoadedVlm:
    """Put LoRA on a model, both matrices random."""
    torch.manual_seed(3)
    model = get_peft_model(base.model, LoraConfig(r=4, target_modules=language_model_linear_names(base.model)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return replace(base, model=model.eval())
