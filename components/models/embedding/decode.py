"""Lists of images decoded for an encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import BaseImageProcessor

from components.models.embedding.encoder import preprocess
from components.models.extreme_shapes import ExtremeShapeError
from components.pool.images import ImageError, load_image
from components.pool.reasons import QuarantineReason
from components.pool.samples import Dropped


@dataclass(frozen=True, slots=True)
class ImageToDecode:
    """An image that lacks a vector.

    Attributes:
        image_sha: sha256 of its bytes, checked.
        uri: where it is.
    """

    image_sha: str
    uri: str


@dataclass(frozen=True, slots=True)
class PixelBatch:
    """Decoded images of one size.

    Attributes:
        image_shas: (batch,).
        pixels: (batch, 3, height, width) uint8.
    """

    image_shas: tuple[str, ...]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DecodedImages:
    """What became of one list of images.

    Attributes:
        batches: the images by size; one batch for encoders that crop to one size.
        dropped: the images that could not be read; `sample_id` is the image's sha256.
    """

    batches: tuple[PixelBatch, ...]
    dropped: tuple[Dropped, ...]


def decode_images(images: Sequence[ImageToDecode], processor: BaseImageProcessor, *, pixel_limit: int) -> DecodedImages:
    """Decode a list of images.

    Args:
        images: of one batch.
        processor: the encoder's image processor.
        pixel_limit: pixels (width x height) above which an image is refused.

    Returns:
        Their pixels, and what could not be read.
    """
    by_size: dict[tuple[int, ...], tuple[list[str], list[NDArray[np.uint8]]]] = {}
    dropped: list[Dropped] = []
    for item in images:
        try:
            image = load_image(item.uri, image_sha=item.image_sha, pixel_limit=pixel_limit)
            pixels = preprocess(processor, image)
        except ImageError as error:
            dropped.append(Dropped(item.image_sha, str(error.reason), error.detail))
            continue
        except ExtremeShapeError as error:
            dropped.append(Dropped(item.image_sha, str(QuarantineReason.TOO_LARGE), f"{item.uri}: {error}"))
            continue
        shas, arrays = by_size.setdefault(pixels.shape, ([], []))
        shas.append(item.image_sha)
        arrays.append(pixels)
    return DecodedImages(
        batches=tuple(PixelBatch(tuple(shas), np.stack(arrays)) for shas, arrays in by_size.values()),
        dropped=tuple(dropped),
    )
