"""Whether the image tokens that a processor writes are as many as the model has features for, told without weights."""

from collections.abc import Mapping
from typing import Any

import torch

from components.models.vlm.labels import EncodedSample
from components.models.vlm.load import LoadedVlm

_Tensors = Mapping[str, torch.Tensor]


class ImageTokensError(ValueError):
    """Processor and model do not belong together: the first step with an image would fail."""


def check_image_tokens(vlm: LoadedVlm, sample: EncodedSample) -> None:
    """Hold the image tokens of a sample against the features that the vision tower gives for its image.

    The features are counted by passing shapes without values through the tower, or from the configuration where its
    code asks for values. Llama 3.2 Vision attends to images by itself and has nothing to compare.

    Args:
        vlm: the model, opened without weights.
        sample: with one image.

    Raises:
        ImageTokensError: they differ, or the tower does not take such an image.
    """
    tokens = int((sample.input_ids == vlm.architecture.image_token_id).sum())
    config = vlm.bare_model.config
    if config.model_type == "mllama":
        return
    try:
        features = _configured_features(config, sample.image.tensors)
        if features is None:
            features = _traced_features(vlm, sample.image.tensors)
    except NotImplementedError:  # the code of the tower asks for values, in a way that is not known here
        return
    except (RuntimeError, ValueError) as error:
        raise ImageTokensError(
            f"the vision tower does not take what {type(vlm.processor.image_processor).__name__} makes of an image "
            f"({error}); preprocessor_config.json and config.json must be the same model's"
        ) from error
    if features != tokens:
        raise ImageTokensError(
            f"{type(vlm.processor).__name__} writes {tokens} image tokens where the model has {features} features of "
            "the image: patch_size, merge size, image size or tokens per image of its processor_config.json or "
            "preprocessor_config.json are not those of config.json"
        )


def _configured_features(config: Any, tensors: _Tensors) -> int | None:
    """Features of the towers whose code asks for values; None for the others."""
    vision, kind = config.vision_config, config.model_type
    if vision.model_type == "pixtral":
        side = vision.patch_size * getattr(config, "spatial_merge_size", 1)
        return int((tensors["image_sizes"] // side).prod())
    if kind in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"):
        _check_patches(tensors, 3 * vision.temporal_patch_size * vision.patch_size**2)
        return int(tensors["image_grid_thw"].prod()) // int(vision.spatial_merge_size) ** 2
    if kind == "idefics2":
        return int(tensors["pixel_values"].shape[1]) * int(config.perceiver_config.resampler_n_latents)
    if kind in ("idefics3", "smolvlm"):
        tiles, height, width = (tensors["pixel_values"].shape[axis] for axis in (1, 3, 4))
        patch = int(vision.patch_size)
        return tiles * (height // patch) * (width // patch) // int(config.scale_factor) ** 2
    if kind == "gemma4":
        _check_patches(tensors, 3 * vision.patch_size**2)
        patches = int((tensors["image_position_ids"] >= 0).all(dim=-1).sum())
        return patches // int(vision.pooling_kernel_size) ** 2
    return None


def _check_patches(tensors: _Tensors, expected: int) -> None:
    length = tensors["pixel_values"].shape[-1]
    if length != expected:
        raise ValueError(f"its patches have {length} values, those of the model {expected}")


def _traced_features(vlm: LoadedVlm, tensors: _Tensors) -> int:
    inner = vlm.bare_model.model
    shapes = {name: one.to("meta") if one.is_floating_point() else one for name, one in tensors.items()}
    with torch.no_grad():
        return _count(inner.get_image_features(**shapes).pooler_output)


def _count(features: Any) -> int:
    """Vectors in a tensor, or in a list with one for each image."""
    if isinstance(features, torch.Tensor):
        return features.shape[:-1].numel()
    return sum(map(_count, features))
