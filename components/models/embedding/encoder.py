"""DINOv2 through transformers: an image becomes the [CLS] token after the final layer norm."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, BaseImageProcessor, PreTrainedModel

from components.errors import UserError
from components.models.device import resolve_device, resolve_dtype
from components.models.extreme_shapes import check_shape
from components.models.weight_files import check_complete, check_weight_files
from components.parameters.parameters import EncoderParameters

MODEL_TYPES = ("dinov2", "dinov2_with_registers")


_UNUSED = ("mask_token",)  # of masked training; checkpoints may lack it


class EncoderError(UserError, ValueError):
    """The encoder cannot be loaded; the message says why."""


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """An encoder that is ready to compute.

    Attributes:
        model: the network, in evaluation mode, on `device`.
        device: where it computes.
        scale: a pixel value (0 to 255) is multiplied by this ...
        mean: ... then this is subtracted, (3, 1, 1) ...
        std: ... and the rest divided by this, (3, 1, 1).
    """

    model: PreTrainedModel
    device: torch.device
    scale: float
    mean: torch.Tensor
    std: torch.Tensor


def load_image_processor(model: str, revision: str | None) -> BaseImageProcessor:
    """Load the encoder's image processor (Pillow's arithmetic, whether or not torchvision is installed).

    Args:
        model: folder or Hugging Face id.
        revision: git revision of a Hub model.

    Returns:
        The processor.

    Raises:
        EncoderError: it is not there.
    """
    try:
        return AutoImageProcessor.from_pretrained(model, revision=revision, backend="pil", trust_remote_code=False)
    except OSError as error:
        raise EncoderError(f"encoder.model {model!r} cannot be loaded: {error}") from error


def preprocess(processor: BaseImageProcessor, image: Image.Image) -> NDArray[np.uint8]:
    """Resize and crop an image as the encoder wants it; `encode` scales and normalises.

    Bytes instead of floats make what a decoding process sends four times smaller.

    Args:
        processor: the encoder's.
        image: RGB.

    Returns:
        (3, height, width) uint8.

    Raises:
        ExtremeShapeError: its sides differ too much.
    """
    check_shape(processor, image.size)
    features = processor(images=image, do_rescale=False, do_normalize=False, return_tensors="np")
    pixels = features["pixel_values"][0]
    assert pixels.dtype == np.uint8
    return np.asarray(pixels)


def load_encoder(parameters: EncoderParameters) -> LoadedEncoder:
    """Load the encoder onto its device.

    Args:
        parameters: model, revision, device and dtype ('auto': GPU if there is one; bfloat16 there, float32
            on a CPU).

    Returns:
        The encoder.

    Raises:
        EncoderError: the model is no DINOv2, or not complete.
        ValueError: the device is not there.
    """
    device = resolve_device(parameters.device, parameter="encoder.device")
    with _named(parameters):
        _read_config(parameters)
        model, found = AutoModel.from_pretrained(
            parameters.model,
            dtype=resolve_dtype(parameters.dtype, device),
            use_safetensors=True,
            output_loading_info=True,
            **_options(parameters),
        )
        check_complete(found, unused=_UNUSED)
    processor = load_image_processor(parameters.model, parameters.revision)
    normalise = processor.do_normalize
    mean = torch.tensor(processor.image_mean if normalise else [0.0] * 3, device=device)
    std = torch.tensor(processor.image_std if normalise else [1.0] * 3, device=device)
    return LoadedEncoder(
        model=model.to(device).eval(),
        device=device,
        scale=processor.rescale_factor if processor.do_rescale else 1.0,
        mean=mean.view(3, 1, 1),
        std=std.view(3, 1, 1),
    )


def check_encoder(parameters: EncoderParameters) -> None:
    """See whether the encoder can be loaded; of its weights only the heads of their files are read.

    Raises:
        EncoderError: it cannot.
        ValueError: the device is not there.
    """
    resolve_device(parameters.device, parameter="encoder.device")
    with _named(parameters):
        config = _read_config(parameters)
        with torch.device("meta"):
            check_weight_files(parameters.model, AutoModel.from_config(config))
    load_image_processor(parameters.model, parameters.revision)


@contextmanager
def _named(parameters: EncoderParameters) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"encoder.model {parameters.model!r} cannot be loaded: {error}") from error


def _options(parameters: EncoderParameters) -> dict[str, Any]:
    return {"revision": parameters.revision, "trust_remote_code": False}


def _read_config(parameters: EncoderParameters) -> Any:
    config = AutoConfig.from_pretrained(parameters.model, **_options(parameters))
    if config.model_type not in MODEL_TYPES:
        raise ValueError(f"it is of type {config.model_type!r}; allowed: {', '.join(MODEL_TYPES)}")
    return config


@torch.inference_mode()
def encode(encoder: LoadedEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the vectors of a batch.

    Args:
        encoder: from `load_encoder`.
        pixels: (batch, 3, height, width) uint8, from `preprocess`.

    Returns:
        (batch, d) float32, not normalised.
    """
    values = torch.from_numpy(pixels).to(encoder.device)  # (batch, 3, height, width)
    values = (values.float() * encoder.scale - encoder.mean) / encoder.std
    output = encoder.model(pixel_values=values.to(encoder.model.dtype))
    cls_token = output.last_hidden_state[:, 0]  # (batch, d); the registers, if any, come after it
    return np.asarray(cls_token.float().cpu().numpy())
