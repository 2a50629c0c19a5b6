"""Toy architectures that need to be told more than the image: which tokens see each other, positions, masks."""

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    GemmaConfig,
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    MllamaConfig,
    MllamaForConditionalGeneration,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SiglipVisionConfig,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.components.models.vlm.toy_parts import (
    byte_level_tokenizer,
    save,
    text_size,
    vision_size,
    write_processor,
)

GEMMA3_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<start_of_image>' }}"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA4_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '\n\n<|image|>\n\n' }}"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}{{ '<turn|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\n' }}{% endif %}"
)
LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<|image|>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
IDEFICS2_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_QWEN_TOKENS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def save_gemma3(folder: Path) -> None:
    """Gemma 3: image tokens see each other, every other layer sees a window; the placeholder is not the image token."""
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = byte_level_tokenizer(["<start_of_turn>", "<end_of_turn>"], end="<eos>", begin="<bos>", **named)
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**vision_size(), vision_use_head=False),
        text_config={
            **text_size(tokenizer),
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
    )
    model = Gemma3ForConditionalGeneration(config)
    with torch.no_grad():
        model.model.multi_modal_projector.mm_input_projection_weight.normal_(std=0.1)  # zero at first: no image
    save(model, tokenizer, folder)
    Gemma3ImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    write_processor(folder, GEMMA3_TEMPLATE, processor_class="Gemma3Processor", image_seq_length=4)


def save_gemma4(folder: Path) -> None:
    """Gemma 4: image tokens see each other, later layers take keys and values of earlier ones, embeddings per layer."""
    names = {"boi_token": "<|image>", "eoi_token": "<image|>", "image_token": "<|image|>"}
    sounds = {"boa_token": "<|audio>", "eoa_token": "<audio|>", "audio_token": "<|audio|>"}
    tokenizer = byte_level_tokenizer(["<|turn>", "<turn|>", "<|video|>"], end="<eos>", begin="<bos>", **names, **sounds)
    config = Gemma4Config(
        vision_config={
            **vision_size(),
            "num_key_value_heads": 2,
            "head_dim": 16,
            "patch_size": 4,
            "position_embedding_size": 128,
        },
        text_config={
            **text_size(tokenizer),
            "num_hidden_layers": 4,
            "head_dim": 16,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "num_kv_shared_layers": 2,
            "use_bidirectional_attention": "vision",
            "vocab_size_per_layer_input": len(tokenizer),
            "hidden_size_per_layer_input": 8,
        },
        audio_config=None,
        boi_token_id=tokenizer.convert_tokens_to_ids("<|image>"),
        eoi_token_id=tokenizer.convert_tokens_to_ids("<image|>"),
        image_token_id=tokenizer.convert_tokens_to_ids("<|image|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        boa_token_id=tokenizer.convert_tokens_to_ids("<|audio>"),
        eoa_token_index=tokenizer.convert_tokens_to_ids("<audio|>"),
        audio_token_id=tokenizer.convert_tokens_to_ids("<|audio|>"),
    )
    save(Gemma4ForConditionalGeneration(config), tokenizer, folder)
    Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=70).save_pretrained(folder)
    write_processor(folder, GEMMA4_TEMPLATE, processor_class="Gemma4Processor", image_seq_length=70)


def save_paligemma(folder: Path) -> None:
    """PaliGemma: image and question see each other; published without a chat template."""
    places = [*(f"<loc{place:0>4}>" for place in range(1024)), *(f"<seg{place:0>3}>" for place in range(128))]
    tokenizer = byte_level_tokenizer(["<image>"], end="<eos>", begin="<bos>")
    tokenizer.add_tokens(places)
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**vision_size(), vision_use_head=False),
        text_config=GemmaConfig(**text_size(tokenizer), head_dim=16, pad_token_id=tokenizer.pad_token_id),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
    )
    save(PaliGemmaForConditionalGeneration(config), tokenizer, folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}, image_seq_length=16).save_pretrained(folder)
    # As published: no template, and the class of the processor in the image processor's file.
    settings = folder / "preprocessor_config.json"
    settings.write_text(
        settings.read_text(encoding="utf-8").replace("{", '{"processor_class": "PaliGemmaProcessor",', 1)
    )


def save_mllama(folder: Path) -> None:
    """Llama 3.2 Vision: layers of cross attention look at tiles; one token, outside of the logits, is the image's."""
    tokens = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>"]
    tokenizer = byte_level_tokenizer(tokens, end="<|end_of_text|>", begin="<|begin_of_text|>")
    assert tokenizer.convert_tokens_to_ids("<|image|>") == len(tokenizer) - 1
    config = MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "vision_output_dim": 64,
            "image_size": 32,
            "patch_size": 8,
            "intermediate_layers_indices": [0],
        },
        text_config={
            **text_size(tokenizer),
            "vocab_size": len(tokenizer) - 1,
            "num_hidden_layers": 3,
            "cross_attention_layers": [1],
            "pad_token_id": tokenizer.pad_token_id,
        },
        image_token_index=len(tokenizer) - 1,
    )
    model = MllamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gate" in name and parameter.ndim == 1:
                parameter.fill_(1.0)  # they begin at zero, which leaves the image out
    save(model, tokenizer, folder)
    MllamaImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    write_processor(folder, LLAMA_TEMPLATE, processor_class="MllamaProcessor")


def save_idefics2(folder: Path) -> None:
    """Idefics2: four crops and the whole, each resampled to a few tokens between fake tokens."""
    tokens = ["<end_of_utterance>", "<fake_token_around_image>", "<image>"]
    tokenizer = byte_level_tokenizer(tokens, end="</s>", begin="<s>")
    config = Idefics2Config(
        vision_config=vision_size(),
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 2,
        },
        text_config={"model_type": "mistral", **text_size(tokenizer), "sliding_window": None},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    save(Idefics2ForConditionalGeneration(config), tokenizer, folder)
    Idefics2ImageProcessorPil(size={"shortest_edge": 16, "longest_edge": 40}, do_image_splitting=True).save_pretrained(
        folder
    )
    write_processor(folder, IDEFICS2_TEMPLATE, processor_class="Idefics2Processor", image_seq_len=4)


def save_qwen2_vl(folder: Path) -> None:
    """Qwen2-VL: image tokens by resolution, rotary positions with three axes."""
    tokenizer = byte_level_tokenizer(_QWEN_TOKENS, end="<|im_end|>")
    config = Qwen2VLConfig(
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 8, "mlp_ratio": 2},
        text_config={
            **text_size(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        **_qwen_ids(tokenizer),
    )
    save(Qwen2VLForConditionalGeneration(config), tokenizer, folder)
    _write_qwen_processor(folder, "Qwen2VLProcessor")


def save_qwen3_vl(folder: Path) -> None:
    """Qwen3-VL: features of several depths of the tower are added to the first layers; interleaved positions."""
    tokenizer = byte_level_tokenizer(_QWEN_TOKENS, end="<|im_end|>")
    config = Qwen3VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 8,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        text_config={
            **text_size(tokenizer),
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 3, 3],
                "mrope_interleaved": True,
            },
        },
        **_qwen_ids(tokenizer),
    )
    save(Qwen3VLForConditionalGeneration(config), tokenizer, folder)
    _write_qwen_processor(folder, "Qwen3VLProcessor")


def _qwen_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = ("vision_start", "vision_end", "image_pad", "video_pad")
    start, end, image, video = (tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in names)
    return {
        "vision_start_token_id": start,
        "vision_end_token_id": end,
        "image_token_id": image,
        "video_token_id": video,
    }


def _write_qwen_processor(folder: Path, processor_class: str) -> None:
    Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}).save_pretrained(
        folder
    )
    write_processor(folder, QWEN_TEMPLATE, processor_class=processor_class)


SAVE: dict[str, Callable[[Path], None]] = {
    "gemma3": save_gemma3,
    "gemma4": save_gemma4,
    "paligemma": save_paligemma,
    "mllama": save_mllama,
    "idefics2": save_idefics2,
    "qwen2_vl": save_qwen2_vl,
    "qwen3_vl": save_qwen3_vl,
}
