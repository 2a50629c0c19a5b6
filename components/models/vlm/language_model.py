"""The language model inside a vision-language model, found by how it is built and not by what its parts are called."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from components.errors import UserError


class LanguageModelError(UserError, ValueError):
    """A model's language model, or layers of it, are not found; the message says what there is."""


def language_model_path(model: Any) -> str:
    """Full name of the module that holds the token embeddings; empty where that is the model itself."""
    embeddings = model.get_input_embeddings()
    path = next((name for name, module in model.named_modules() if module is embeddings), "")
    return path.rpartition(".")[0]


def language_model_linear_names(model: Any) -> list[str]:
    """Find the linear layers of a model's language model: what LoRA is put on.

    The language model is the module that holds the token embeddings, whatever it is called; vision tower, projector
    and output head are outside of it.

    Args:
        model: a transformers model for image-text-to-text.

    Returns:
        Full names, in the model's order.

    Raises:
        LanguageModelError: the token embeddings or the layers are not found.
    """
    scope = language_model_path(model)
    names = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.startswith(f"{scope}.")
    ]
    if not scope or not names:
        raise LanguageModelError(
            f"no language model with linear layers was found in {type(model).__name__} around its token embeddings"
        )
    return names


def lora_targets(model: Any, target_modules: Literal["all-linear"] | Sequence[str]) -> list[str]:
    """Resolve `tuning.target_modules` to linear layers of the language model.

    Args:
        model: a transformers model for image-text-to-text.
        target_modules: all of them, or the endings of their names, such as `q_proj` or `self_attn.q_proj`.

    Returns:
        Full names, in the model's order; a layer of the same name in the vision tower or the projector is not among
        them.

    Raises:
        LanguageModelError: an ending is no layer of the language model.
    """
    names = language_model_linear_names(model)
    if target_modules == "all-linear":
        return names
    unknown = [ending for ending in target_modules if not any(_ends(name, ending) for name in names)]
    if unknown or not target_modules:
        endings = sorted({name.rpartition(".")[2] for name in names})
        raise LanguageModelError(
            f"tuning.target_modules {list(target_modules)}: the language model of {type(model).__name__} has no linear "
            f"layer {', '.join(unknown) or 'named by an empty list'}; it has {', '.join(endings)} (or all-linear)"
        )
    return [name for name in names if any(_ends(name, ending) for ending in target_modules)]


def check_rank(model: Any, targets: Sequence[str], rank: int) -> None:
    """See whether a LoRA rank can be of use: an update of a layer has no higher rank than its smaller side.

    Args:
        model: a transformers model for image-text-to-text.
        targets: full names of linear layers, as `lora_targets` gives them.
        rank: `tuning.lora_rank`.

    Raises:
        LanguageModelError: it is higher than that for every one of them.
    """
    layers = (model.get_submodule(name) for name in targets)
    highest = max(min(layer.in_features, layer.out_features) for layer in layers)
    if rank > highest:
        raise LanguageModelError(
            f"tuning.lora_rank {rank}: the smaller side of the layers that LoRA is put on is {highest} at most, and a "
            f"higher rank than that only costs memory; set {highest} or less"
        )


def _ends(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")
