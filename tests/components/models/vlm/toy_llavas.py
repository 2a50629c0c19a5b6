"""Toy architectures whose image features take the place of image tokens, with causal attention over all of them."""

from collections.abc import Callable
from pathlib import Path

from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    CLIPVisionConfig,
    Cohere2Config,
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLHybridConfig,
    DeepseekVLHybridForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralVisionConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import DeepseekVLImageProcessorPil
from transformers.models.deepseek_vl_hybrid.image_processing_pil_deepseek_vl_hybrid import (
    DeepseekVLHybridImageProcessorPil,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil

from tests.components.models.vlm.toy_parts import (
    byte_level_tokenizer,
    save,
    sentencepiece_like_tokenizer,
    text_size,
    vision_size,
    write_processor,
)

_PINPOINTS = [[32, 64], [64, 32], [64, 64]]

MISTRAL_TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST]' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '[IMG]' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '[/INST]' }}"
    "{% else %}{{ message['content'][0]['text'] + '</s>' }}{% endif %}{% endfor %}"
)
LLAVA_MISTRAL_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'][0]['text'] + '</s> ' }}{% endif %}{% endfor %}"
)
VICUNA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'USER: ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ ' ' }}"
    "{% else %}{{ 'ASSISTANT: ' + message['content'][0]['text'] + '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
AYA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|END_OF_TURN_TOKEN|>' }}"
    "{% else %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>' + message['content'][0]['text']"
    " + '<|END_RESPONSE|><|END_OF_TURN_TOKEN|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>' }}{% endif %}"
)
INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DEEPSEEK_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' }}{% else %}{{ 'Assistant: ' }}"
    "{% endif %}{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image_placeholder>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'user' %}{{ '\n\n' }}{% else %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def _clip() -> CLIPVisionConfig:
    return CLIPVisionConfig(**vision_size(), projection_dim=32)


def _siglip() -> SiglipVisionConfig:
    return SiglipVisionConfig(**vision_size(), vision_use_head=False)


def save_pixtral(folder: Path) -> None:
    """Pixtral: a tower that takes images as they are shaped, a token at the end of each row of patches; no template
    has a generation prompt of its own."""
    tokenizer = byte_level_tokenizer(
        ["[IMG]", "[IMG_BREAK]", "[IMG_END]", "[INST]", "[/INST]"], end="</s>", begin="<s>"
    )
    config = LlavaConfig(
        vision_config=PixtralVisionConfig(**vision_size() | {"image_size": 64}),
        text_config=MistralConfig(**text_size(tokenizer), sliding_window=None, head_dim=16),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        image_seq_length=1,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    save(LlavaForConditionalGeneration(config), tokenizer, folder)
    _write_pixtral_processor(folder, spatial_merge_size=1)


def save_mistral3(folder: Path) -> None:
    """Mistral Small 3.1: Pixtral's tower, four patches merged into one token."""
    tokenizer = byte_level_tokenizer(
        ["[IMG]", "[IMG_BREAK]", "[IMG_END]", "[INST]", "[/INST]"], end="</s>", begin="<s>"
    )
    config = Mistral3Config(
        vision_config=PixtralVisionConfig(**vision_size() | {"image_size": 64}),
        text_config=MistralConfig(**text_size(tokenizer), sliding_window=None, head_dim=16),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    save(Mistral3ForConditionalGeneration(config), tokenizer, folder)
    _write_pixtral_processor(folder, spatial_merge_size=2)


def _write_pixtral_processor(folder: Path, *, spatial_merge_size: int) -> None:
    patch = {"height": 8, "width": 8}
    PixtralImageProcessorPil(size={"longest_edge": 64}, patch_size=patch).save_pretrained(folder)
    write_processor(
        folder,
        MISTRAL_TEMPLATE,
        processor_class="PixtralProcessor",
        patch_size=8,
        spatial_merge_size=spatial_merge_size,
        image_token="[IMG]",
        image_break_token="[IMG_BREAK]",
        image_end_token="[IMG_END]",
    )


def save_llava_next(folder: Path) -> None:
    """LLaVA-NeXT: CLIP tower over tiles, Mistral with a SentencePiece-like tokenizer."""
    tokenizer = sentencepiece_like_tokenizer(["<image>", "<pad>"])
    config = LlavaNextConfig(
        vision_config=_clip(),
        text_config=MistralConfig(**text_size(tokenizer), sliding_window=None, pad_token_id=tokenizer.pad_token_id),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=_PINPOINTS,
        image_seq_length=16,
    )
    save(LlavaNextForConditionalGeneration(config), tokenizer, folder)
    _write_next_processor(folder, LLAVA_MISTRAL_TEMPLATE, processor_class="LlavaNextProcessor")


def save_llava_next_video(folder: Path) -> None:
    """LLaVA-NeXT-Video, which also takes images."""
    tokenizer = sentencepiece_like_tokenizer(["<video>", "<image>", "<pad>"])
    config = LlavaNextVideoConfig(
        vision_config=_clip(),
        text_config=LlamaConfig(**text_size(tokenizer), pad_token_id=tokenizer.pad_token_id),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=_PINPOINTS,
        image_seq_length=16,
    )
    save(LlavaNextVideoForConditionalGeneration(config), tokenizer, folder)
    _write_next_processor(folder, VICUNA_TEMPLATE, processor_class="LlavaNextVideoProcessor", video_token="<video>")


def _write_next_processor(folder: Path, template: str, **settings: object) -> None:
    LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=_PINPOINTS
    ).save_pretrained(folder)
    write_processor(
        folder,
        template,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        **settings,
    )


def save_aya_vision(folder: Path) -> None:
    """Aya Vision: SigLIP tower over tiles, Cohere2 with sliding windows; the image token is not the placeholder."""
    tiles = [f"TILE_{tile}" for tile in range(1, 13)]
    turns = ["START_OF_TURN_TOKEN", "END_OF_TURN_TOKEN", "USER_TOKEN", "CHATBOT_TOKEN"]
    marks = [*turns, "START_RESPONSE", "END_RESPONSE", "START_OF_IMG", "END_OF_IMG", "IMG_PATCH", "IMG_LINE_BREAK"]
    tokenizer = byte_level_tokenizer(
        [*(f"<|{mark}|>" for mark in marks), "<image>", "TILE_GLOBAL", *tiles],
        end="<|END_OF_TURN_TOKEN|>",
        begin="<BOS_TOKEN>",
    )
    config = AyaVisionConfig(
        vision_config=_siglip(),
        text_config=Cohere2Config(
            **text_size(tokenizer),
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention"],
            logit_scale=1.0,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
    )
    save(AyaVisionForConditionalGeneration(config), tokenizer, folder)
    _write_tiling_image_processor(folder)
    write_processor(
        folder, AYA_TEMPLATE, processor_class="AyaVisionProcessor", patch_size=8, img_size=32, downsample_factor=2
    )


def save_internvl(folder: Path) -> None:
    """InternVL: tiles with pixel shuffle between start and end tokens, Qwen2."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = byte_level_tokenizer(["<|im_start|>", "<|im_end|>"], end="<|im_end|>", **named)
    config = InternVLConfig(
        vision_config=vision_size() | {"image_size": [32, 32], "patch_size": [8, 8]},
        text_config=Qwen2Config(**text_size(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    save(InternVLForConditionalGeneration(config), tokenizer, folder)
    _write_tiling_image_processor(folder)
    write_processor(folder, INTERNVL_TEMPLATE, processor_class="InternVLProcessor", image_seq_length=4)


def _write_tiling_image_processor(folder: Path) -> None:
    GotOcr2ImageProcessorPil(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=4
    ).save_pretrained(folder)


def _deepseek_tokenizer() -> PreTrainedTokenizerFast:
    end = "<\uff5cend\u2581of\u2581sentence\uff5c>"
    return byte_level_tokenizer([], end=end, image_token="<image_placeholder>")


def save_deepseek_vl(folder: Path) -> None:
    """DeepSeek-VL 1.3B: SigLIP tower, Llama, a fixed number of image tokens."""
    tokenizer = _deepseek_tokenizer()
    config = DeepseekVLConfig(
        vision_config=_siglip(),
        text_config=LlamaConfig(**text_size(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image_placeholder>"),
    )
    save(DeepseekVLForConditionalGeneration(config), tokenizer, folder)
    DeepseekVLImageProcessorPil(size={"height": 32, "width": 32}, min_size=8).save_pretrained(folder)
    write_processor(folder, DEEPSEEK_TEMPLATE, processor_class="DeepseekVLProcessor", num_image_tokens=16)


def save_deepseek_vl_hybrid(folder: Path) -> None:
    """DeepSeek-VL 7B: a second tower, SAM's, looks at the image in a higher resolution."""
    tokenizer = _deepseek_tokenizer()
    config = DeepseekVLHybridConfig(
        vision_config=_siglip(),
        high_res_vision_config={
            "model_type": "sam_vision_model",
            "hidden_size": 32,
            "output_channels": 8,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 128,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [1],
            "mlp_dim": 48,
        },
        text_config=LlamaConfig(**text_size(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image_placeholder>"),
    )
    save(DeepseekVLHybridForConditionalGeneration(config), tokenizer, folder)
    DeepseekVLHybridImageProcessorPil(
        size={"height": 32, "width": 32}, high_res_size={"height": 128, "width": 128}, min_size=8
    ).save_pretrained(folder)
    write_processor(folder, DEEPSEEK_TEMPLATE, processor_class="DeepseekVLHybridProcessor", num_image_tokens=16)


SAVE: dict[str, Callable[[Path], None]] = {
    "pixtral": save_pixtral,
    "mistral3": save_mistral3,
    "llava_next": save_llava_next,
    "llava_next_video": save_llava_next_video,
    "aya_vision": save_aya_vision,
    "internvl": save_internvl,
    "deepseek_vl": save_deepseek_vl,
    "deepseek_vl_hybrid": save_deepseek_vl_hybrid,
}
