"""Images decoded in batches, in worker processes, ahead of the model that waits for them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from transformers import BaseImageProcessor

from components.compute.ahead import ahead
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


def decode_batches(
    batches: Sequence[Sequence[ImageToDecode]],
    processor: BaseImageProcessor,
    *,
    pixel_limit: int,
    processes: int,
) -> Iterator[DecodedImages]:
    """Decode lists of images, in order.

    Args:
        batches: the images of each batch.
        processor: the encoder's image processor.
        pixel_limit: pixels (width x height) above which an image is refused.
        processes: that decode ahead of the consumer; 0 decodes in this one.

    Returns:
        One result per batch, as they are taken.

    Raises:
        WorkerDiedError: a worker process died.
    """
    decode: Callable[[Sequence[ImageToDecode]], DecodedImages]
    decode = partial(_decode, processor=processor, pixel_limit=pixel_limit)
    return ahead(
        batches,
        decode,
        processes=processes,
        describe=lambda batch: batch[0].uri,
        advice="lower encoder.batch_size or let this process use fewer cores",
    )


def _decode(batch: Sequence[ImageToDecode], processor: BaseImageProcessor, pixel_limit: int) -> DecodedImages:
    by_size: dict[tuple[int, ...], tuple[list[str], list[NDArray[np.uint8]]]] = {}
    dropped: list[Dropped] = []
    for item in batch:
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
