"""Real vision-language architectures at toy size, saved as their published checkpoints are laid out.

Each is built from its own configuration and image processor classes; the chat templates are worded as the published
ones render, quirks included (a system message, a generation prompt that differs in white space, no end-of-turn token).
"""

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from tests.components.models.vlm import toy_llavas, toy_others
from tests.components.models.vlm.toy_parts import (
    byte_level_tokenizer,
    save,
    sentencepiece_like_tokenizer,
    text_size,
    vision_size,
    write_processor,
)

CONTEXT_LENGTH = 512

LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + part['text'] }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IDEFICS_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def save_llava(folder: Path) -> None:
    """LLaVA-1.5: CLIP tower, Llama with a SentencePiece-like tokenizer, a fixed number of image tokens."""
    tokenizer = sentencepiece_like_tokenizer(["<image>", "<pad>"])
    text = LlamaConfig(**text_size(tokenizer), pad_token_id=tokenizer.pad_token_id)
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=32,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    save(LlavaForConditionalGeneration(config), tokenizer, folder)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_convert_rgb=True
    )
    processor.save_pretrained(folder)
    write_processor(
        folder,
        LLAVA_TEMPLATE,
        processor_class="LlavaProcessor",
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
    )


def save_llava_onevision(folder: Path) -> None:
    """LLaVA-OneVision: SigLIP tower, Qwen2, tiles in any resolution with a newline token per row of patches."""
    tokenizer = byte_level_tokenizer(["<|im_start|>", "<|im_end|>", "<image>", "<video>"], end="<|im_end|>")
    pinpoints = [[32, 32], [32, 64], [64, 32], [64, 64]]
    text = Qwen2Config(**text_size(tokenizer), pad_token_id=tokenizer.pad_token_id)
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        vision_use_head=False,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    save(LlavaOnevisionForConditionalGeneration(config), tokenizer, folder)
    LlavaOnevisionImageProcessorPil(size={"height": 32, "width": 32}, image_grid_pinpoints=pinpoints).save_pretrained(
        folder
    )
    write_processor(
        folder,
        ONEVISION_TEMPLATE,
        processor_class="LlavaOnevisionProcessor",
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        image_token="<image>",
        video_token="<video>",
    )


def save_qwen2_5_vl(folder: Path) -> None:
    """Qwen2.5-VL: windowed tower, image tokens by resolution, rotary positions with three axes."""
    tokens = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = byte_level_tokenizer(tokens, end="<|im_end|>")
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 8,
            "window_size": 32,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        text_config={
            **text_size(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    save(Qwen2_5_VLForConditionalGeneration(config), tokenizer, folder)
    Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}).save_pretrained(
        folder
    )
    # As published: no processor_config.json, the template in a file of its own.
    (folder / "chat_template.jinja").write_text(QWEN_TEMPLATE, encoding="utf-8")


def save_smolvlm(folder: Path) -> None:
    """SmolVLM2: several tiles with row and column tokens, pixel-shuffled."""
    tokenizer = _idefics_tokenizer()
    config = SmolVLMConfig(**_idefics_sizes(tokenizer))
    save(SmolVLMForConditionalGeneration(config), tokenizer, folder)
    SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}).save_pretrained(folder)
    write_processor(folder, IDEFICS_TEMPLATE, processor_class="SmolVLMProcessor", image_seq_len=4)


def save_idefics3(folder: Path) -> None:
    """Idefics3, which the first SmolVLM checkpoints are: the same tiles, its own classes."""
    tokenizer = _idefics_tokenizer()
    config = Idefics3Config(**_idefics_sizes(tokenizer))
    save(Idefics3ForConditionalGeneration(config), tokenizer, folder)
    Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}).save_pretrained(folder)
    write_processor(folder, IDEFICS_TEMPLATE, processor_class="Idefics3Processor", image_seq_len=4)


SAVE: dict[str, Callable[[Path], None]] = {
    "llava": save_llava,
    "llava_onevision": save_llava_onevision,
    "qwen2_5_vl": save_qwen2_5_vl,
    "smolvlm": save_smolvlm,
    "idefics3": save_idefics3,
    **toy_llavas.SAVE,
    **toy_others.SAVE,
}
ARCHITECTURES = tuple(SAVE)
# Those that every test of a mechanism goes over; `test_own_code` goes over all.
EXAMPLES = ("llava", "llava_onevision", "qwen2_5_vl", "smolvlm", "idefics3")
CHECKPOINT_TYPES = {"pixtral": "llava"}  # transformers' name of the architecture, where it is another


def save_toy_vlm(architecture: str, folder: Path) -> Path:
    """Save an architecture at toy size with seeded random weights.

    Args:
        architecture: one of `ARCHITECTURES`.
        folder: where; made if need be.

    Returns:
        The folder, for `VlmParameters.model`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(5)
    SAVE[architecture](folder)
    return folder


def _idefics_sizes(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    return {
        "vision_config": vision_size(),
        "text_config": {"model_type": "llama", **text_size(tokenizer), "pad_token_id": tokenizer.pad_token_id},
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "scale_factor": 2,
    }


def _idefics_tokenizer() -> PreTrainedTokenizerFast:
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokens = ["<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>", *tiles]
    return byte_level_tokenizer(tokens, end="<end_of_utterance>")
