"""LoRA adapters: put on a model, written to disk."""

import os
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from components.models.vlm.language_model import lora_targets
from components.models.vlm.load import LoadedVlm
from components.parameters.parameters import TuningParameters, VlmParameters
from components.storage import fresh_directory, write_json

ADAPTER_CONFIG = "adapter_config.json"
_UNORDERED = ("target_modules", "exclude_modules", "modules_to_save")


def add_lora(loaded: LoadedVlm, tuning: TuningParameters, vlm: VlmParameters) -> PeftModel:
    """Put fresh LoRA layers on a model; its own weights are frozen.

    The update of a weight is scale * B A with scale = alpha / r, A random and B zero at first
    (arXiv 2106.09685).

    Args:
        loaded: the model; its modules are replaced in place.
        tuning: rank, alpha, dropout and which layers of the language model.
        vlm: the model as named in the parameters, written into the adapter's configuration.

    Returns:
        The model with adapter. The adapter's weights are float32 whatever the model's type.

    Raises:
        ValueError: `tuning.target_modules` matches nothing.
    """
    config = LoraConfig(
        r=tuning.lora_rank,
        lora_alpha=tuning.lora_alpha,
        lora_dropout=tuning.lora_dropout,
        target_modules=lora_targets(loaded.bare_model, tuning.target_modules),
        revision=vlm.revision,
    )
    with warnings.catch_warnings():
        # peft asks transformers by a name that the pinned version deprecates.
        warnings.filterwarnings("ignore", message=".is_gradient_checkpointing.", category=FutureWarning)
        model = get_peft_model(loaded.model, config)
    config.base_model_name_or_path = vlm.model
    return model


def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    """The tensors that are tuned, by name, whole in every process; to ask for all would gather a sharded model."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def save_adapter(model: PeftModel, directory: Path) -> None:
    """Write an adapter, `adapter_model.safetensors` and `adapter_config.json`: all of it or nothing.

    Args:
        model: the tuned model.
        directory: takes the place of what was there.
    """
    with fresh_directory(directory) as folder:
        model.save_pretrained(folder, safe_serialization=True, state_dict=adapter_weights(model))
        (folder / "README.md").unlink()  # an empty model card
        config = model.active_peft_config.to_dict()
        # peft keeps names in sets, whose order differs from process to process.
        ordered = {name: sorted(config[name]) for name in _UNORDERED if isinstance(config[name], set | list)}
        write_json(folder / ADAPTER_CONFIG, config | ordered | {"inference_mode": True})
        for path in folder.iterdir():
            path.chmod(0o644)  # peft writes the weights for the owner alone
        sync_files(folder)


def sync_files(folder: Path) -> None:
    """Make a folder's files durable."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def trainable_parameters(model: torch.nn.Module) -> int:
    """Count the numbers that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
