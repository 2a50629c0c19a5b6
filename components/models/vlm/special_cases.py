"""Everything that differs between architectures and cannot be found out from structure, in one place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    PROCESSOR_MAPPING,
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
    Idefics3Processor,
    PreTrainedConfig,
)

# The chat format LLaVA-1.5 was trained with; its first checkpoints come without a template.
# The end of a response is not written here: `conversation` adds the tokenizer's end-of-sequence token.
_LLAVA_TEMPLATE = """\
{%- for message in messages -%}
{{- message['role'] | upper + ': ' -}}
{%- for part in message['content'] if part['type'] == 'image' -%}{{- '<image>\\n' -}}{%- endfor -%}
{%- for part in message['content'] if part['type'] == 'text' -%}{{- part['text'] + ' ' -}}{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}
"""

_DEFAULT_TEMPLATES = {"llava": _LLAVA_TEMPLATE}

# Language models with plain causal attention over all tokens that take a four-dimensional mask and explicit
# positions as they are given. For others (image tokens that see each other, sliding windows) the two branches of the
# Instruction Relevance Score are computed one after the other.
_PREFIX_SHARING = frozenset({"llava", "llava_onevision", "qwen2_5_vl", "idefics3", "smolvlm"})

# Multimodal rotary positions: three axes, computed from the size of the image.
_MULTIMODAL_ROTARY = frozenset({"qwen2_5_vl"})


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is special about a model's architecture.

    Attributes:
        model_type: transformers' name of it.
        shares_prefix: one forward pass can hold two continuations of one prefix.
        multimodal_rotary: positions have three axes and depend on the size of the image.
        token_types: the model wants to be told which tokens are image tokens.
    """

    model_type: str
    shares_prefix: bool
    multimodal_rotary: bool
    token_types: bool


def describe_architecture(config: PreTrainedConfig, processor: Any) -> Architecture:
    """Say what is special about a model.

    Args:
        config: the model's configuration.
        processor: its processor, from `load_processor`.

    Returns:
        The special cases; nothing is special about an architecture that is not named in this file.
    """
    model_type = str(config.model_type)
    text = config.get_text_config()
    slides = getattr(text, "sliding_window", None) is not None and getattr(text, "use_sliding_window", True)
    return Architecture(
        model_type=model_type,
        shares_prefix=model_type in _PREFIX_SHARING and not slides,
        multimodal_rotary=model_type in _MULTIMODAL_ROTARY,
        token_types=bool(getattr(processor, "return_mm_token_type_ids", False)),
    )


def load_processor(source: str, revision: str | None, config: PreTrainedConfig) -> Any:
    """Load a model's processor with its Pillow image processor, complete with chat template.

    Processors that also take videos cannot be built without torchvision, even for images; they are built here
    without their video part.

    Args:
        source: folder or Hugging Face id.
        revision: git revision of a Hub model.
        config: the model's configuration.

    Returns:
        The processor.

    Raises:
        ValueError: no chat template is known for the model.
        OSError: files are missing.
    """
    options = {"revision": revision, "trust_remote_code": False}
    processor_class = PROCESSOR_MAPPING.get(type(config), None)
    if processor_class is not None and "video_processor" in processor_class.get_attributes():
        processor = _load_without_video(processor_class, source, options)
    else:
        processor = AutoProcessor.from_pretrained(source, **options)
        processor.image_processor = AutoImageProcessor.from_pretrained(source, backend="pil", **options)
    _complete(processor, config)
    return processor


def language_model_linear_names(model: Any) -> list[str]:
    """Find the linear layers of a model's language model: what LoRA is put on.

    The language model is the module that holds the token embeddings, whatever it is called; vision tower, projector
    and output head are outside of it.

    Args:
        model: a transformers model for image-text-to-text.

    Returns:
        Full names, in the model's order.

    Raises:
        ValueError: the token embeddings or the layers are not found.
    """
    scope = language_model_path(model)
    names = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.startswith(f"{scope}.")
    ]
    if not scope or not names:
        raise ValueError(
            f"no language model with linear layers was found in {type(model).__name__} around its token embeddings; "
            "name the layers in tuning.target_modules instead of all-linear"
        )
    return names


def language_model_path(model: Any) -> str:
    """Full name of the module that holds the token embeddings; empty where that is the model itself."""
    embeddings = model.get_input_embeddings()
    path = next((name for name, module in model.named_modules() if module is embeddings), "")
    return path.rpartition(".")[0]


def branch_positions(
    model: Any,
    architecture: Architecture,
    input_ids: torch.Tensor,
    token_types: torch.Tensor | None,
    image_tensors: dict[str, torch.Tensor],
) -> torch.Tensor:
    """Positions that a model gives the tokens of one unpadded conversation.

    Args:
        model: the model without adapter wrapper.
        architecture: its special cases.
        input_ids: (tokens,).
        token_types: (tokens,), 1 for image tokens, where the architecture wants them.
        image_tensors: the conversation's image arguments.

    Returns:
        (axes, tokens), int64; one axis but for multimodal rotary positions, which have three.
    """
    if not architecture.multimodal_rotary:
        return torch.arange(input_ids.shape[0])[None]  # (1, tokens)
    assert token_types is not None
    positions, _ = model.model.get_rope_index(
        input_ids[None], token_types[None], image_grid_thw=image_tensors["image_grid_thw"]
    )
    return torch.as_tensor(positions)[:, 0]  # (3, tokens)


def _load_without_video(processor_class: Any, source: str, options: dict[str, Any]) -> Any:
    image_processor = AutoImageProcessor.from_pretrained(source, backend="pil", **options)
    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    if processor_class.__name__ == "SmolVLMProcessor":
        # Its class wants num2words, for videos only; Idefics3's expands images into the same tokens.
        processor_class, parts = Idefics3Processor, [image_processor, tokenizer]
    else:
        processor_class = _image_text_class(processor_class)
        parts = [image_processor, tokenizer, None]
    settings, _ = processor_class.get_processor_dict(source, revision=options["revision"])
    return processor_class.from_args_and_dict(parts, settings)


def _image_text_class(processor_class: Any) -> Any:
    def get_attributes(_: type) -> Sequence[str]:
        return ["image_processor", "tokenizer"]

    return type(processor_class.__name__, (processor_class,), {"get_attributes": classmethod(get_attributes)})


def _complete(processor: Any, config: PreTrainedConfig) -> None:
    if processor.chat_template is None:
        processor.chat_template = processor.tokenizer.chat_template or _DEFAULT_TEMPLATES.get(config.model_type)
    if processor.chat_template is None:
        raise ValueError(f"the {config.model_type} model has no chat template; add a chat_template.jinja to its folder")
    if config.model_type == "llava" and getattr(processor, "patch_size", 0) is None:
        # Older checkpoints leave to the model what the processor needs to count image tokens.
        processor.patch_size = config.vision_config.patch_size
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy
        processor.num_additional_image_tokens = int("clip" in config.vision_config.model_type)
