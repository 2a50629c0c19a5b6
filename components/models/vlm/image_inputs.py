"""Preprocessing of one image: the same function for training, scoring and generation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})
_REPLACEMENTS = "text_replacement_offsets"


class ImageInputError(ValueError):
    """The model's processor cannot take an image."""


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """One image as the model takes it.

    Attributes:
        tensors: the model's image arguments by name, first axis the image (or its patches).
        expansion: the text of image tokens that takes the place of the placeholder.
    """

    tensors: Mapping[str, torch.Tensor]
    expansion: str


def preprocess_image(processor: Any, image: Image.Image) -> ImageInputs:
    """Resize, tile and normalise an image as the model's own processor does.

    Args:
        processor: the model's processor.
        image: RGB.

    Returns:
        Tensors and the expansion of the placeholder.

    Raises:
        ImageInputError: the processor refuses the image, for example for its shape.
    """
    try:
        outputs = processor(
            images=[image],
            text=[processor.image_token],
            add_special_tokens=False,
            return_text_replacement_offsets=True,
            return_tensors="pt",
        )
    except ValueError as error:
        raise ImageInputError(f"{type(processor).__name__} refuses an image of {image.size} pixels: {error}") from error
    replacement = outputs[_REPLACEMENTS][0][0]["replacement"]
    tensors = {
        name: torch.as_tensor(value)
        for name, value in outputs.items()
        if name not in _TEXT_INPUTS and name != _REPLACEMENTS
    }
    return ImageInputs(tensors=tensors, expansion=str(replacement))
