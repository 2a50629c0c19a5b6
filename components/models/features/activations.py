"""What the attention of chosen layers makes of image and text, one vector per sample (COINCIDE)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from components.errors import UserError
from components.models.features.attention_modules import attention_modules
from components.models.hidden_size import hidden_size
from components.models.vlm.collate import collate
from components.models.vlm.labels import EncodedSample
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import to_model
from components.parameters.parameters import VlmParameters


class NoSuchLayerError(UserError, ValueError):
    """A model has no decoder layer of a number that was chosen."""


def chosen_attention(vlm: LoadedVlm, layers: Sequence[int]) -> list[nn.Module]:
    """The attention modules of the chosen decoder layers.

    Args:
        vlm: the model.
        layers: numbers from 0.

    Raises:
        NoSuchLayerError: the model has no such layer.
    """
    modules = list(attention_modules(vlm.bare_model).values())
    beyond = [layer for layer in layers if layer >= len(modules)]
    if beyond:
        raise NoSuchLayerError(
            f"coincide.layers names layer {beyond[0]}, and {type(vlm.bare_model).__name__} has layers 0 to "
            f"{len(modules) - 1}; choose among them (the paper takes every fourth)"
        )
    return [modules[layer] for layer in layers]


def activation_width(vlm: VlmParameters, layers: Sequence[int]) -> int:
    """Numbers that `pooled_activations` makes of a sample, M * 2 * hidden for M layers; 0 when that is not known here.

    Args:
        vlm: section `vlm` of the parameters, with the model that is read.
        layers: numbers from 0.
    """
    return len(layers) * 2 * hidden_size(vlm.model, vlm.revision)


@torch.no_grad()
def pooled_activations(
    vlm: LoadedVlm, samples: Sequence[EncodedSample], attention: Sequence[nn.Module]
) -> torch.Tensor:
    """Attention outputs pooled over image tokens and over text tokens.

    Per layer: the mean over the image tokens and the mean over the text tokens, tanh, each scaled to length one;
    [image | text] of all layers side by side, divided by sqrt(2 M) for M layers. An image token is one that the model
    puts image features at (with cross attention: the one that stands for the image); all other tokens are text, those
    that frame an image among them. Padding counts for neither.

    Args:
        vlm: the model.
        samples: `n` encoded conversations, at least one.
        attention: modules from `chosen_attention`.

    Returns:
        (n, M * 2 * hidden), float32, on the CPU, rows of length one.
    """
    batch = collate(vlm, samples)
    del batch["labels"]
    real = batch["attention_mask"].bool().to(vlm.device)  # (batch, tokens)
    is_image = (batch["input_ids"].to(vlm.device) == vlm.architecture.image_token_id) & real
    outputs: dict[int, torch.Tensor] = {}
    with _recorded(attention, lambda number, hidden: outputs.__setitem__(number, _pool(hidden, is_image, real))):
        # No logits are needed; those of one token are the fewest that can be asked for. As a tensor: Gemma 4 takes a
        # number as leave to compute its later layers for that token alone.
        inputs = {name: to_model(vlm, tensor) for name, tensor in batch.items()}
        first = torch.zeros(1, dtype=torch.int64, device=vlm.device)
        vlm.bare_model(**inputs, logits_to_keep=first, use_cache=False)
    joined = torch.cat([outputs[number] for number in range(len(attention))], dim=1)  # (batch, M * 2 * hidden)
    unit: torch.Tensor = joined / (2 * len(attention)) ** 0.5
    return unit.cpu()


def _pool(hidden: torch.Tensor, is_image: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    halves = []
    for members in (is_image, real & ~is_image):
        weights = members.float()  # (batch, tokens)
        summed = torch.einsum("bt,bth->bh", weights, hidden.float())
        mean = summed / weights.sum(dim=1, keepdim=True)  # (batch, hidden)
        halves.append(torch.nn.functional.normalize(torch.tanh(mean), dim=1, eps=0.0))
    return torch.cat(halves, dim=1)  # (batch, 2 * hidden)


@contextmanager
def _recorded(modules: Sequence[nn.Module], take: Callable[[int, torch.Tensor], None]) -> Iterator[None]:
    def hook(number: int) -> Callable[[nn.Module, Any, Any], None]:
        def on_forward(_module: nn.Module, _inputs: Any, output: Any) -> None:
            take(number, output[0] if isinstance(output, tuple) else output)

        return on_forward

    handles = [module.register_forward_hook(hook(number)) for number, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
