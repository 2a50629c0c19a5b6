"""Two losses from one forward pass: the conversation with and without its question share image and prefix.

A row holds `prefix | rest with the question | rest without it`. Both rests see the prefix and themselves, never each
other, and the positions of the second start again where the prefix ends. So the image is encoded once and the prefix,
which is most of the tokens, is computed once, and both losses are what two passes would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from components.models.vlm.collate import collate_images, pad_rows, token_types
from components.models.vlm.labels import NO_LABEL, EncodedSample
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import ResponseLoss, response_losses, summed_loss
from components.models.vlm.special_cases import branch_positions

_PADDING, _PREFIX, _WITH, _WITHOUT = range(4)


@dataclass(frozen=True, slots=True)
class QuestionPair:
    """One sample encoded twice, around the same image.

    Attributes:
        with_question: the conversation.
        without_question: its responses as the answer to the image alone.
    """

    with_question: EncodedSample
    without_question: EncodedSample


@dataclass(frozen=True, slots=True)
class PairLoss:
    """The losses of one pair."""

    with_question: ResponseLoss
    without_question: ResponseLoss


@dataclass(frozen=True, slots=True)
class _Row:
    """One pair, packed; each tensor (tokens,) but positions, which is (axes, tokens)."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    segments: torch.Tensor
    positions: torch.Tensor


def pair_losses(vlm: LoadedVlm, pairs: Sequence[QuestionPair]) -> list[PairLoss]:
    """Compute both losses of every pair.

    Where the architecture lets two continuations share a pass, one forward pass serves all pairs; otherwise there is
    one pass with the questions and one without.

    Args:
        vlm: the model.
        pairs: at least one.

    Returns:
        One result per pair, in order.
    """
    prefixes = [_shared_prefix(pair) for pair in pairs]
    if not vlm.architecture.shares_prefix or None in prefixes:
        return separate_pair_losses(vlm, pairs)
    rows = [_pack(vlm, pair, length) for pair, length in zip(pairs, prefixes, strict=True) if length is not None]
    segments = pad_rows([row.segments for row in rows], _PADDING, side="left")  # (batch, tokens)
    labels = pad_rows([row.labels for row in rows], NO_LABEL, side="left")  # (batch, tokens)
    positions = torch.stack(
        [pad_rows([row.positions[axis] for row in rows], 0, side="left") for axis in range(rows[0].positions.shape[0])]
    )  # (axes, batch, tokens)
    inputs = {
        "input_ids": pad_rows([row.input_ids for row in rows], vlm.pad_token_id, side="left"),
        "attention_mask": _attention_mask(segments.to(vlm.device), vlm.dtype),
        "position_ids": positions if vlm.architecture.multimodal_rotary else positions[0],
        **collate_images([pair.with_question.image for pair in pairs]),
    }
    sums = summed_loss(vlm, inputs, labels, (segments == _WITHOUT).long(), groups=2).tolist()
    return [
        PairLoss(_mean(total, pair.with_question), _mean(total_without, pair.without_question))
        for (total, total_without), pair in zip(sums, pairs, strict=True)
    ]


def separate_pair_losses(vlm: LoadedVlm, pairs: Sequence[QuestionPair]) -> list[PairLoss]:
    """Compute both losses of every pair in two forward passes that share nothing."""
    with_question = response_losses(vlm, [pair.with_question for pair in pairs])
    without_question = response_losses(vlm, [pair.without_question for pair in pairs])
    return [PairLoss(*losses) for losses in zip(with_question, without_question, strict=True)]


def _mean(total: float, sample: EncodedSample) -> ResponseLoss:
    return ResponseLoss(mean=total / sample.response_tokens, tokens=sample.response_tokens)


def _shared_prefix(pair: QuestionPair) -> int | None:
    """Tokens that both encodings begin with, or None if these do not hold the whole image.

    At least one token before the first label stays out, so that every label is predicted inside its own rest.
    """
    ids = (pair.with_question.input_ids, pair.without_question.input_ids)
    shortest = min(len(ids[0]), len(ids[1]))
    equal = ids[0][:shortest] == ids[1][:shortest]
    common = shortest if bool(equal.all()) else int((~equal).nonzero()[0])
    labels = (pair.with_question.labels, pair.without_question.labels)
    length = min(common, *(int((label != NO_LABEL).nonzero()[0]) - 1 for label in labels))
    return length if length >= pair.with_question.image_end else None


def _pack(vlm: LoadedVlm, pair: QuestionPair, prefix: int) -> _Row:
    one, other = pair.with_question, pair.without_question
    segments = torch.full((len(one.input_ids) + len(other.input_ids) - prefix,), _WITH)
    segments[:prefix] = _PREFIX
    segments[len(one.input_ids) :] = _WITHOUT
    return _Row(
        input_ids=torch.cat([one.input_ids, other.input_ids[prefix:]]),
        labels=torch.cat([one.labels, other.labels[prefix:]]),
        segments=segments,
        positions=torch.cat([_positions(vlm, one), _positions(vlm, other)[:, prefix:]], dim=1),
    )


def _positions(vlm: LoadedVlm, sample: EncodedSample) -> torch.Tensor:
    types = token_types(vlm, sample) if vlm.architecture.type_argument is not None else None
    return branch_positions(vlm.bare_model, vlm.architecture, sample.input_ids, types, dict(sample.image.tensors))


def _attention_mask(segments: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What may see what: (batch, 1, tokens, tokens), 0 where the row may see the column and very low elsewhere."""
    tokens = segments.shape[1]
    sees, seen = segments[:, :, None], segments[:, None, :]
    earlier = torch.ones(tokens, tokens, dtype=torch.bool, device=segments.device).tril()
    allowed = earlier & ((sees == seen) | ((seen == _PREFIX) & (sees > _PREFIX)))  # (batch, tokens, tokens)
    mask = torch.zeros(allowed.shape, dtype=dtype, device=segments.device).masked_fill(~allowed, torch.finfo(dtype).min)
    return mask[:, None]
