"""Images decoded in batches, in worker processes, ahead of the model that waits for them."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import BaseImageProcessor

from components.models.embedding.encoder import preprocess
from components.pool.images import ImageError, load_image
from components.pool.samples import Dropped

BATCHES_AHEAD_PER_WORKER = 2


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
    workers: int,
) -> Iterator[DecodedImages]:
    """Decode lists of images, in order.

    Args:
        batches: the images of each batch.
        processor: the encoder's image processor.
        pixel_limit: pixels (width x height) above which an image is refused.
        workers: processes that decode ahead of the consumer; 0 decodes in this one.

    Yields:
        One result per batch.

    Raises:
        RuntimeError: a worker process died.
    """
    if workers == 0:
        for batch in batches:
            yield _decode(batch, processor, pixel_limit)
        return
    context = multiprocessing.get_context("spawn")  # a forked child of a process with threads or CUDA may hang
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    waiting: deque[Future[DecodedImages]] = deque()
    try:
        for batch in batches:
            waiting.append(executor.submit(_decode, batch, processor, pixel_limit))
            if len(waiting) > workers * BATCHES_AHEAD_PER_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process that decodes images died, most likely for lack of memory; "
            "lower encoder.decode_workers or encoder.batch_size"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _decode(batch: Sequence[ImageToDecode], processor: BaseImageProcessor, pixel_limit: int) -> DecodedImages:
    by_size: dict[tuple[int, ...], tuple[list[str], list[NDArray[np.uint8]]]] = {}
    dropped: list[Dropped] = []
    for item in batch:
        try:
            image = load_image(item.uri, image_sha=item.image_sha, pixel_limit=pixel_limit)
        except ImageError as error:
            dropped.append(Dropped(item.image_sha, str(error.reason), error.detail))
            continue
        pixels = preprocess(processor, image)
        shas, arrays = by_size.setdefault(pixels.shape, ([], []))
        shas.append(item.image_sha)
        arrays.append(pixels)
    return DecodedImages(
        batches=tuple(PixelBatch(tuple(shas), np.stack(arrays)) for shas, arrays in by_size.values()),
        dropped=tuple(dropped),
    )


def _end_with_parent() -> None:
    # A worker waits for work on a pipe whose other end it holds too, so it would outlive a killed parent.
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()
