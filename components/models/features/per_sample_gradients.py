"""Per-sample LoRA gradients of a batch in one backward pass (TIVE)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.functional import cross_entropy

from components.models.features.attention_modules import attention_modules
from components.models.vlm.collate import collate
from components.models.vlm.labels import NO_LABEL, EncodedSample
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import to_model

# Told of every LoRA matrix: its name, and its gradient for every sample (batch, numbers of the matrix), float32.
TakeGradients = Callable[[str, torch.Tensor], None]


class NoLoraError(ValueError):
    """The model has no LoRA matrix to take a gradient of."""


def attention_lora_matrices(vlm: LoadedVlm) -> dict[str, nn.Linear]:
    """The LoRA matrices A and B inside the attention modules of the language model, by full name.

    Raises:
        NoLoraError: there are none.
    """
    model = vlm.bare_model
    matrices: dict[str, nn.Linear] = {}
    for scope, attention in attention_modules(model).items():
        for name, layer in attention.named_modules():
            if isinstance(layer, LoraLayer):
                for kind in ("lora_A", "lora_B"):
                    for adapter, matrix in getattr(layer, kind).items():
                        matrices[f"{scope}.{name}.{kind}.{adapter}"] = matrix
    if not matrices:
        raise NoLoraError(
            "no attention layer of the language model carries LoRA; tuning.target_modules must name attention "
            "projections (all-linear does)"
        )
    return matrices


def per_sample_gradients(vlm: LoadedVlm, samples: Sequence[EncodedSample], take: TakeGradients) -> None:
    """Gradient of every sample's mean loss per response token, for every LoRA matrix of the attention projections.

    The losses of a batch are added up and differentiated once. A linear layer y = W x has the gradient
    sum_t (dL/dy_t) x_t^T for each sample, so its inputs, kept on the way forward, and the gradients of its outputs,
    met on the way back, are enough. Padding has no influence: nothing that a response token sees depends on it. No
    gradient of a weight is computed or kept, and one matrix's per-sample gradients are in memory at a time.

    Args:
        vlm: the model with its adapter, in evaluation mode. Its parameters are frozen for good.
        samples: at least one, each with at least one label.
        take: called once per matrix.
    """
    vlm.model.requires_grad_(False)
    batch = collate(vlm, samples)
    labels = batch.pop("labels").to(vlm.device)  # (batch, tokens)
    watched = _watched(attention_lora_matrices(vlm), take, samples=len(samples))
    with torch.enable_grad(), _differentiable_embeddings(vlm.bare_model), watched:
        _summed_mean_losses(vlm, batch, labels).backward()  # type: ignore[no-untyped-call]


def _summed_mean_losses(vlm: LoadedVlm, batch: dict[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    labelled = labels[:, 1:] != NO_LABEL  # (batch, tokens - 1)
    logits = vlm.bare_model(
        **{name: to_model(vlm, tensor) for name, tensor in batch.items()},
        logits_to_keep=torch.nn.functional.pad(labelled, (0, 1)),
        use_cache=False,
    ).logits  # (labels, vocabulary)
    losses = cross_entropy(logits.float(), labels[:, 1:][labelled], reduction="none")  # (labels,)
    per_sample = labelled.sum(dim=1)  # (batch,)
    return (losses / per_sample[labelled.nonzero()[:, 0]]).sum()


@contextmanager
def _differentiable_embeddings(model: Any) -> Iterator[None]:
    """Start the graph at the token embeddings: all weights are frozen, and something has to require a gradient."""

    def require(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return output.requires_grad_()

    handle = model.get_input_embeddings().register_forward_hook(require)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _watched(matrices: dict[str, nn.Linear], take: TakeGradients, *, samples: int) -> Iterator[None]:
    """Hand over the per-sample gradients of linear layers while a loss is differentiated."""
    handles = [matrix.register_forward_hook(_on_forward(name, take, samples)) for name, matrix in matrices.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on_forward(
    name: str, take: TakeGradients, samples: int
) -> Callable[[nn.Module, tuple[torch.Tensor], torch.Tensor], None]:
    def on_forward(_module: nn.Module, arguments: tuple[torch.Tensor], output: torch.Tensor) -> None:
        inputs = arguments[0].detach()  # (batch, tokens, in), or of an image in cross attention (batch tiles, ...)
        if not output.requires_grad:
            output.requires_grad_()  # what looks at the image alone comes from no token embedding

        def on_backward(gradient: torch.Tensor) -> None:
            product = torch.einsum("bto,bti->boi", gradient.float(), inputs.float())  # (rows, out, in)
            take(name, product.reshape(samples, -1, product[0].numel()).sum(dim=1))

        output.register_hook(on_backward)  # type: ignore[no-untyped-call]

    return on_forward
