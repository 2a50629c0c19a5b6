"""How many bytes a tune writes, known from the shapes of a model's layers."""

from functools import lru_cache
from typing import Literal

from components.parameters.parameters import TuningParameters, VlmParameters

_FLOAT_BYTES = 4  # the adapter and its optimiser are float32 always
# Of AdamW: beside each weight the running averages of its gradient and of that squared.
_WITH_OPTIMISER = 3
CHECKPOINTS_KEPT = 2


def adapter_bytes(vlm: VlmParameters, tuning: TuningParameters) -> int:
    """Bytes of the weights of an adapter: LoRA's A (rank, in) and B (out, rank) of every layer it is put on.

    Args:
        vlm: the model, of which no weights are read.
        tuning: rank, and which layers.
    """
    return _FLOAT_BYTES * tuning.lora_rank * _sides(vlm.model_dump_json(), tuning.target_modules)


@lru_cache
def _sides(vlm: str, target_modules: Literal["all-linear"] | tuple[str, ...]) -> int:
    """Inputs and outputs of the layers together."""
    # These import torch, which a run that tunes nothing does without.
    from components.models.vlm.language_model import lora_targets
    from components.models.vlm.load import open_vlm

    model = open_vlm(VlmParameters.model_validate_json(vlm)).bare_model
    layers = [model.get_submodule(name) for name in lora_targets(model, target_modules)]
    return sum(int(layer.in_features + layer.out_features) for layer in layers)


def checkpoint_bytes(vlm: VlmParameters, tuning: TuningParameters, *, samples: int, epochs: float) -> int:
    """Bytes of the checkpoints that a tune keeps beside each other until it ends.

    Args:
        vlm: the model.
        tuning: how it is tuned.
        samples: that are trained on at least.
        epochs: passes over them.
    """
    updates = epochs * samples / tuning.update_size
    kept = min(CHECKPOINTS_KEPT, int(updates) // tuning.checkpoint_every)
    return kept * _WITH_OPTIMISER * adapter_bytes(vlm, tuning) if kept else 0
