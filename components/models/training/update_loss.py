"""The loss of an optimiser update: mean negative log-likelihood per response token."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from components.models.vlm.labels import NO_LABEL


def logits_needed(labels: torch.Tensor) -> int:
    """Count the positions, from the end of the rows, whose logits the loss needs.

    The image and the first question stand before every response; leaving out their logits saves most of the
    memory that a large vocabulary takes.

    Args:
        labels: (batch, tokens) int64, `NO_LABEL` where there is none.

    Returns:
        Positions from the one before the first label to the end; the last two where there is no label.
    """
    columns = (labels != NO_LABEL).any(dim=0).nonzero()  # (labelled columns, 1)
    first = int(columns[0]) if len(columns) else labels.shape[1] - 1
    return labels.shape[1] - first + 1


def update_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int) -> torch.Tensor:
    """Sum the negative log-likelihood over a batch's response tokens and divide by those of the whole update.

    With gradient accumulation the divisor counts the tokens of all accumulated batches, so that every token
    weighs the same however the samples are split.

    Args:
        outputs: with `logits` (batch, kept, vocabulary): of all positions or of the last ones.
        labels: (batch, tokens) int64, aligned with the input, `NO_LABEL` where there is none.
        num_items_in_batch: response tokens of the update; the trainer counts them.

    Returns:
        The loss in nats, a scalar; the losses of an update's batches add up to its mean per token.
    """
    logits = outputs.logits[:, :-1]  # (batch, kept - 1, vocabulary); what the last position predicts is not there
    targets = labels[:, labels.shape[1] - logits.shape[1] :]  # (batch, kept - 1)
    labelled = targets != NO_LABEL
    total = cross_entropy(logits[labelled].float(), targets[labelled], reduction="sum")
    return total / num_items_in_batch
