"""The loss of responses: negative log-likelihood of the labelled tokens, one value per sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from components.models.vlm.collate import collate
from components.models.vlm.labels import NO_LABEL, EncodedSample
from components.models.vlm.load import LoadedVlm

_ROWS_AT_A_TIME = 1024  # label positions whose logits are held in float32 at a time


@dataclass(frozen=True, slots=True)
class ResponseLoss:
    """The loss of one sample's responses.

    Attributes:
        mean: mean negative log-likelihood per response token, nats.
        tokens: response tokens.
    """

    mean: float
    tokens: int


def response_losses(vlm: LoadedVlm, samples: Sequence[EncodedSample]) -> list[ResponseLoss]:
    """Compute the loss of every sample's responses in one forward pass.

    Args:
        vlm: the model.
        samples: at least one, each with at least one label.

    Returns:
        One loss per sample, in order.
    """
    batch = collate(vlm, samples)
    labels = batch.pop("labels")
    sums = summed_loss(vlm, batch, labels, torch.zeros_like(labels), groups=1)[:, 0]
    return [
        ResponseLoss(mean=float(total) / sample.response_tokens, tokens=sample.response_tokens)
        for total, sample in zip(sums.tolist(), samples, strict=True)
    ]


@torch.no_grad()
def summed_loss(
    vlm: LoadedVlm, inputs: dict[str, torch.Tensor], labels: torch.Tensor, groups_of: torch.Tensor, *, groups: int
) -> torch.Tensor:
    """Sum the loss of every row's labels, apart for each group of labels.

    Logits are computed at the positions that predict a label only, so memory grows with the response tokens and not
    with the whole batch.

    Args:
        vlm: the model.
        inputs: the model's arguments.
        labels: (batch, tokens), int64; `NO_LABEL` where there is none. A label is predicted one position earlier.
        groups_of: (batch, tokens), int64; the group of every label.
        groups: number of groups.

    Returns:
        (batch, groups), float64, on the CPU.
    """
    labelled = labels[:, 1:] != NO_LABEL  # (batch, tokens - 1)
    predicting = torch.nn.functional.pad(labelled, (0, 1))  # (batch, tokens)
    rows = labelled.nonzero()[:, 0]  # (labels,)
    targets = labels[:, 1:][labelled]  # (labels,)
    logits = vlm.bare_model(
        **{name: to_model(vlm, tensor) for name, tensor in inputs.items()},
        logits_to_keep=predicting.to(vlm.device),
        use_cache=False,
    ).logits  # (labels, vocabulary)
    parts = zip(logits.split(_ROWS_AT_A_TIME), torch.split(targets, _ROWS_AT_A_TIME), strict=True)
    losses = torch.cat(
        [cross_entropy(some.float(), labels_of.to(vlm.device), reduction="none") for some, labels_of in parts]
    )  # (labels,)
    sums = torch.zeros(labels.shape[0], groups, dtype=torch.float64)
    sums.index_put_((rows, groups_of[:, 1:][labelled]), losses.double().cpu(), accumulate=True)
    return sums


def to_model(vlm: LoadedVlm, tensor: torch.Tensor) -> torch.Tensor:
    """Move a tensor to the model's device; floating point ones take the model's type."""
    return tensor.to(vlm.device, vlm.dtype if tensor.is_floating_point() else tensor.dtype, non_blocking=True)
