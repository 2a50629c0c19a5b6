"""Everything that differs between architectures and cannot be found out from structure, in one place."""

import inspect
import re
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import PreTrainedConfig

# Architectures by transformers' name that went through every test of `tests/components/models` at toy size: labels,
# losses, Instruction Relevance Score, tuning, gradients, activations, answers and merged weights, against a slow
# reference that calls transformers alone. Others are refused: a model that is used a little wrongly still answers.
SUPPORTED = {
    "aya_vision": "Aya Vision",
    "deepseek_vl": "DeepSeek-VL 1.3B",
    "deepseek_vl_hybrid": "DeepSeek-VL 7B",
    "gemma3": "Gemma 3",
    "gemma4": "Gemma 4",
    "idefics2": "Idefics2",
    "idefics3": "Idefics3, the first SmolVLM",
    "internvl": "InternVL",
    "llava": "LLaVA 1.5, Pixtral",
    "llava_next": "LLaVA-NeXT",
    "llava_next_video": "LLaVA-NeXT-Video, for images",
    "llava_onevision": "LLaVA-OneVision",
    "mistral3": "Mistral Small 3.1",
    "mllama": "Llama 3.2 Vision",
    "paligemma": "PaliGemma",
    "qwen2_5_vl": "Qwen2.5-VL",
    "qwen2_vl": "Qwen2-VL",
    "qwen3_vl": "Qwen3-VL",
    "smolvlm": "SmolVLM",
}

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

# What PaliGemma's processor makes of a prompt and its suffix; it comes without a template.
_PALIGEMMA_TEMPLATE = """\
{%- for message in messages -%}
{%- for part in message['content'] if part['type'] == 'image' -%}{{- '<image>' -}}{%- endfor -%}
{%- for part in message['content'] if part['type'] == 'text' -%}{{- part['text'] -}}{%- endfor -%}
{%- if message['role'] == 'user' -%}{{- '\\n' -}}{%- endif -%}
{%- endfor -%}
"""

DEFAULT_TEMPLATES = {"llava": _LLAVA_TEMPLATE, "paligemma": _PALIGEMMA_TEMPLATE}

# Language models with plain causal attention over all tokens that take a four-dimensional mask and explicit
# positions as they are given. For others (image tokens that see each other, sliding windows) the two branches of the
# Instruction Relevance Score are computed one after the other.
_PREFIX_SHARING = frozenset({"llava", "llava_onevision", "qwen2_5_vl", "idefics3", "smolvlm"})

# Multimodal rotary positions: three axes, computed from the size of the image.
_MULTIMODAL_ROTARY = frozenset({"qwen2_5_vl"})

_TYPE_ARGUMENTS = ("mm_token_type_ids", "token_type_ids")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is special about a model's architecture.

    Attributes:
        model_type: transformers' name of it.
        shares_prefix: one forward pass can hold two continuations of one prefix.
        multimodal_rotary: positions have three axes and depend on the size of the image.
        arguments: what the model's `forward` takes by name.
        type_argument: the argument that tells the model of which type every token is; None where it takes none.
        types: what is told: `image` tokens are 1, or `answer` tokens are, from the first response on.
        image_token_id: id of the tokens that image features are put at, or that stand for the image.
    """

    model_type: str
    shares_prefix: bool
    multimodal_rotary: bool
    arguments: frozenset[str]
    type_argument: str | None
    types: Literal["image", "answer"]
    image_token_id: int


def describe_architecture(config: PreTrainedConfig, model_class: Any) -> Architecture:
    """Say what is special about a model.

    Args:
        config: the model's configuration, of a supported architecture.
        model_class: the class of the model.

    Returns:
        The special cases.
    """
    model_type = str(config.model_type)
    text = config.get_text_config()
    slides = getattr(text, "sliding_window", None) is not None and getattr(text, "use_sliding_window", True)
    arguments = frozenset(inspect.signature(model_class.forward).parameters)
    return Architecture(
        model_type=model_type,
        shares_prefix=model_type in _PREFIX_SHARING and not slides,
        multimodal_rotary=model_type in _MULTIMODAL_ROTARY,
        arguments=arguments,
        type_argument=next((name for name in _TYPE_ARGUMENTS if name in arguments), None),
        # PaliGemma's image and question see each other, its answer is causal.
        types="answer" if model_type == "paligemma" else "image",
        image_token_id=int(config.image_token_id),
    )


def image_expansion(processor: Any) -> str | None:
    """The text that takes the place of an image's placeholder, for processors that do not tell it themselves.

    Returns:
        None: the processor tells it.
    """
    name = type(processor).__name__
    if name == "MllamaProcessor":  # cross attention: nothing is put in the place of the token
        return str(processor.image_token)
    if name == "Idefics2Processor":
        crops = 5 if processor.image_processor.do_image_splitting else 1
        one = processor.fake_image_token + processor.image_token * processor.image_seq_len
        return str(one * crops + processor.fake_image_token)
    return None


def text_after_image(architecture: Architecture, following: str, *, begin: str | None) -> str:
    """What a model's own processor writes between an image and the text that follows.

    Args:
        architecture: of the model.
        following: the rest of the conversation.
        begin: the tokenizer's token for the beginning of a sequence.
    """
    if architecture.model_type == "idefics2" and re.match(r"[^\s<]", following):
        return " "
    if architecture.model_type == "paligemma" and begin is not None and begin not in following:
        return begin
    return ""


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
