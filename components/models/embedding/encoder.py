"""DINOv2 through transformers: an image becomes the [CLS] token after the final layer norm."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, BaseImageProcessor, PreTrainedModel

from components.models.device import resolve_device, resolve_dtype
from components.parameters.parameters import EncoderParameters

MODEL_TYPES = ("dinov2", "dinov2_with_registers")


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
        ValueError: it is not there.
    """
    try:
        return AutoImageProcessor.from_pretrained(model, revision=revision, backend="pil", trust_remote_code=False)
    except OSError as error:
        raise ValueError(f"encoder.model {model!r} cannot be loaded: {error}") from error


def preprocess(processor: BaseImageProcessor, image: Image.Image) -> NDArray[np.uint8]:
    """Resize and crop an image as the encoder wants it; `encode` scales and normalises.

    Bytes instead of floats make what a decoding process sends four times smaller.

    Args:
        processor: the encoder's.
        image: RGB.

    Returns:
        (3, height, width) uint8.
    """
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
        ValueError: the model is no DINOv2.
    """
    device = resolve_device(parameters.device, parameter="encoder.device")
    source = {"revision": parameters.revision, "trust_remote_code": False}
    model_type = AutoConfig.from_pretrained(parameters.model, **source).model_type
    if model_type not in MODEL_TYPES:
        raise ValueError(
            f"encoder.model {parameters.model!r} is of type {model_type!r}; allowed: {', '.join(MODEL_TYPES)}"
        )
    dtype = resolve_dtype(parameters.dtype, device)
    model = AutoModel.from_pretrained(parameters.model, dtype=dtype, use_safetensors=True, **source)
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
