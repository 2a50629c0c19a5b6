"""Lists of images to vectors: what an engine does to embed a pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from transformers import BaseImageProcessor

from components.compute.engine import Work
from components.models.embedding.decode import DecodedImages, ImageToDecode, decode_images
from components.models.embedding.encoder import LoadedEncoder, encode, load_encoder, load_image_processor
from components.parameters.parameters import EncoderParameters
from components.pool.samples import Dropped

NOT_FINITE = "not finite"


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder with its processor.

    Attributes:
        processor: of images.
        network: None where images are only decoded.
    """

    processor: BaseImageProcessor
    network: LoadedEncoder | None


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """What became of a list of images.

    Attributes:
        image_shas: those that have a vector.
        vectors: (n, d) float32, in their order.
        dropped: the others; `sample_id` is the image's sha256.
    """

    image_shas: list[str]
    vectors: NDArray[np.float32]
    dropped: tuple[Dropped, ...]


def encoding(
    parameters: EncoderParameters, *, pixel_limit: int, processes: int
) -> Work[ImageToDecode, Encoder, DecodedImages, EncodedImages]:
    """What embeds images.

    Args:
        parameters: of the encoder.
        pixel_limit: pixels (width x height) above which an image is refused.
        processes: of this machine that decode ahead; 0 decodes in line.
    """
    return Work(
        name="embed",
        open=partial(_open, parameters),
        load=partial(_load, parameters),
        prepare=partial(_decode, pixel_limit=pixel_limit),
        compute=_encode,
        describe=_uri,
        advice="lower encoder.batch_size or let this process use fewer cores",
        processes=processes,
    )


def _open(parameters: EncoderParameters) -> Encoder:
    return Encoder(load_image_processor(parameters.model, parameters.revision), None)


def _load(parameters: EncoderParameters) -> Encoder:
    return Encoder(load_image_processor(parameters.model, parameters.revision), load_encoder(parameters))


def _uri(image: ImageToDecode) -> str:
    return image.uri


def _decode(encoder: Encoder, images: Sequence[ImageToDecode], *, pixel_limit: int) -> DecodedImages:
    return decode_images(images, encoder.processor, pixel_limit=pixel_limit)


def _encode(encoder: Encoder, decoded: DecodedImages) -> EncodedImages:
    assert encoder.network is not None
    shas: list[str] = []
    parts: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)]
    dropped = list(decoded.dropped)
    for batch in decoded.batches:
        vectors = encode(encoder.network, batch.pixels)  # (batch, d)
        finite = np.asarray(np.isfinite(vectors).all(axis=1))  # (batch,)
        for image_sha, usable in zip(batch.image_shas, finite, strict=True):
            if usable:
                shas.append(image_sha)
            else:
                detail = "the encoder gave a vector with NaN or infinite values"
                dropped.append(Dropped(image_sha, NOT_FINITE, detail))
        parts.append(vectors[finite])
    vectors = np.concatenate([part for part in parts if len(part)] or parts[:1])
    return EncodedImages(shas, vectors, tuple(dropped))
