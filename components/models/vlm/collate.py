"""Batches: padding of ids and labels, joining of image arguments."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn.functional import pad

from components.models.vlm.image_inputs import ImageInputs
from components.models.vlm.labels import NO_LABEL, EncodedSample
from components.models.vlm.load import LoadedVlm


def collate(
    vlm: LoadedVlm, samples: Sequence[EncodedSample], *, side: Literal["left", "right"] = "right"
) -> dict[str, torch.Tensor]:
    """Join samples into one batch for `model(**batch)`.

    Args:
        vlm: the model the samples were encoded for.
        samples: at least one.
        side: where short rows are filled up: `right` to train and score, `left` to generate.

    Returns:
        `input_ids`, `attention_mask` and `labels`, each (batch, tokens), int64, the types of the tokens where the model
        asks for them, and its image arguments; on the CPU.
    """
    architecture = vlm.architecture
    input_ids = pad_rows([sample.input_ids for sample in samples], vlm.pad_token_id, side=side)
    mask = pad_rows([torch.ones_like(sample.input_ids) for sample in samples], 0, side=side)
    batch = {
        "input_ids": input_ids,
        "attention_mask": mask,
        "labels": pad_rows([sample.labels for sample in samples], NO_LABEL, side=side),
        **collate_images([sample.image for sample in samples]),
    }
    if architecture.type_argument is not None:
        batch[architecture.type_argument] = pad_rows([token_types(vlm, sample) for sample in samples], 0, side=side)
    if "cross_attention_mask" in batch:
        batch["cross_attention_mask"] = _from_the_image_on(
            batch["cross_attention_mask"], input_ids == architecture.image_token_id
        )
    return batch


def pad_rows(rows: Sequence[torch.Tensor], value: int, *, side: Literal["left", "right"]) -> torch.Tensor:
    """Stack rows of different lengths.

    Args:
        rows: each (tokens,).
        value: fills short rows up.
        side: where it is put.

    Returns:
        (rows, most tokens).
    """
    longest = max(row.shape[0] for row in rows)
    filled = []
    for row in rows:
        missing = longest - row.shape[0]
        filled.append(pad(row, (missing, 0) if side == "left" else (0, missing), value=value))
    return torch.stack(filled)


def token_types(vlm: LoadedVlm, sample: EncodedSample) -> torch.Tensor:
    """Say of which type every token is, as the model's own processor does: (tokens,), int64."""
    if vlm.architecture.types == "answer":
        return (torch.arange(len(sample.input_ids)) >= sample.first_response).long()
    return torch.tensor(vlm.processor.create_mm_token_type_ids([sample.input_ids.tolist()])[0], dtype=torch.int64)


def collate_images(images: Sequence[ImageInputs]) -> dict[str, torch.Tensor]:
    """Join image arguments along their first axis.

    An image may be cut into fewer tiles than its neighbour: all other axes are filled up with zeros, which is how
    transformers' own image processors pad tiles, and what the models leave out again.

    Args:
        images: at least one, all of the same model.

    Returns:
        Tensors by argument name.
    """
    joined = {}
    for name in images[0].tensors:
        tensors = [image.tensors[name] for image in images]
        sizes = [max(tensor.shape[axis] for tensor in tensors) for axis in range(1, tensors[0].ndim)]
        joined[name] = torch.cat([_fill_up(tensor, sizes) for tensor in tensors])
    return joined


def _fill_up(tensor: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    missing = [size - have for size, have in zip(sizes, tensor.shape[1:], strict=True)]
    if not any(missing):
        return tensor
    widths = [width for amount in reversed(missing) for width in (0, amount)]  # torch counts axes from the last
    return pad(tensor, widths)


def _from_the_image_on(masks: torch.Tensor, is_image: torch.Tensor) -> torch.Tensor:
    """Give a mask of tiles (batch, 1, images, tiles) to the image token (batch, tokens) and all that follow it."""
    reached = (is_image.cumsum(dim=1) > 0).to(masks.dtype)  # (batch, tokens)
    return reached[:, :, None, None] * masks
