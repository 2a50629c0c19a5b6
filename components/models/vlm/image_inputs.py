"""Preprocessing of one image: the same function for training, scoring and generation."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import floor, sqrt
from typing import Any

import torch
from PIL import Image

from components.errors import UserError
from components.models.extreme_shapes import check_shape
from components.models.vlm.special_cases import image_expansion

_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "labels"})
_REPLACEMENTS = "text_replacement_offsets"


class ImageInputError(ValueError):
    """The model's processor cannot take an image."""


class ProcessorError(UserError, ValueError):
    """A model's processor cannot be used at all, or makes what the model does not take."""


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """One image as the model takes it.

    Attributes:
        tensors: the model's image arguments by name, first axis the image (or its patches).
        expansion: the text of image tokens that takes the place of the placeholder.
    """

    tensors: Mapping[str, torch.Tensor]
    expansion: str


def preprocess_image(processor: Any, image: Image.Image, *, arguments: Set[str]) -> ImageInputs:
    """Resize, tile and normalise an image as the model's own processor does.

    Args:
        processor: the model's processor.
        image: RGB.
        arguments: what the model takes.

    Returns:
        Tensors and the expansion of the placeholder. An argument that is given for every token of the text
        (`cross_attention_mask`) holds what tokens after the image get, its token axis of length one.

    Raises:
        ImageInputError: the processor refuses the image, for example for its shape.
        ProcessorError: the parts of the processor do not fit each other, or the model does not take what it makes.
    """
    known = image_expansion(processor)
    options = {} if known is not None else {"return_text_replacement_offsets": True}
    try:
        check_shape(processor.image_processor, image.size)
        outputs = processor(
            images=[image], text=[processor.image_token], add_special_tokens=False, return_tensors="pt", **options
        )
    except (ValueError, ZeroDivisionError) as error:
        raise ImageInputError(f"{type(processor).__name__} refuses an image of {image.size} pixels: {error}") from error
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ProcessorError(
            f"{type(processor).__name__} with {type(processor.image_processor).__name__} cannot encode an image: "
            f"{type(error).__name__}: {error}; the files of its image processor and tokenizer must be the model's own"
        ) from error
    tensors = {
        name: torch.as_tensor(value)
        for name, value in outputs.items()
        if name not in _TEXT_INPUTS and name != _REPLACEMENTS
    }
    unused = sorted(tensors.keys() - arguments)
    if unused:
        raise ProcessorError(
            f"{type(processor).__name__} makes {', '.join(unused)} of an image, and the model's forward takes no such "
            "argument: processor and model do not belong together"
        )
    if "cross_attention_mask" in tensors:
        tensors["cross_attention_mask"] = tensors["cross_attention_mask"][:, -1:]
    expansion = outputs[_REPLACEMENTS][0][0]["replacement"] if known is None else known
    return ImageInputs(tensors=tensors, expansion=str(expansion))


def within_pixels(image: Image.Image, limit: int | None) -> Image.Image:
    """Reduce an image that has too many pixels, keeping its shape.

    Args:
        image: any size.
        limit: pixels (width x height) at most; None: no limit.

    Returns:
        The image itself where it is small enough.
    """
    size = size_within_pixels(image.size, limit)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def size_within_pixels(size: tuple[int, int], limit: int | None) -> tuple[int, int]:
    """Width and height that `within_pixels` gives an image."""
    width, height = size
    if limit is None or width * height <= limit:
        return size
    scale = sqrt(limit / (width * height))
    # A strip keeps one row of pixels and may then be longer than the limit.
    return min(max(1, floor(width * scale)), limit), min(max(1, floor(height * scale)), limit)
