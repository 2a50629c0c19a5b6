"""The two embedded models before any training: configurations, byte-level tokenizer, processors."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from demo.drawing import IMAGE_SIDE
from demo.patch_labels import PATCH_SIZE

MODELS_FOLDER = Path(__file__).resolve().parent / "models"
ENCODER_FOLDER = MODELS_FOLDER / "tiny-dinov2"
VLM_FOLDER = MODELS_FOLDER / "tiny-llava"

CONTEXT_LENGTH = 2048
IMAGE_MEAN = [0.5, 0.5, 0.5]
IMAGE_STD = [0.25, 0.25, 0.25]

# "USER:" and "ASSISTANT:" are one token each: spelled in bytes they would cost 15 tokens per turn.
SPECIAL_TOKENS = ("<pad>", "</s>", "<image>", "USER:", "ASSISTANT:")

# The response and its end-of-turn token sit inside the generation markers, so transformers can return their mask.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{{- 'ASSISTANT: ' -}}
{%- generation -%}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '</s>' -}}
{%- endgeneration -%}
{%- else -%}
{{- 'USER: ' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}{{- '<image>\\n' -}}{%- endif -%}
{%- endfor -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- ' ' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- 'ASSISTANT: ' -}}
{%- endif -%}
"""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the byte-level tokenizer: 256 byte tokens without merges, then the special tokens.

    Returns:
        A tokenizer that can encode any UTF-8 text and gives back exactly what it encoded.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106 - a token of text, not a credential
        eos_token="</s>",  # noqa: S106 - a token of text, not a credential
        model_max_length=CONTEXT_LENGTH,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    wrapped.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS[2:])})
    return wrapped


def build_processor() -> LlavaProcessor:
    """Build the processor of the tiny VLM: byte-level text, 64 x 64 images, 64 image tokens, chat template."""
    image_processor = CLIPImageProcessorPil(
        do_resize=True,
        size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        do_center_crop=False,
        crop_size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        do_rescale=True,
        do_normalize=True,
        image_mean=IMAGE_MEAN,
        image_std=IMAGE_STD,
        do_convert_rgb=True,
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=build_tokenizer(),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_vlm(*, seed: int) -> LlavaForConditionalGeneration:
    """Build the tiny LLaVA with random weights.

    Args:
        seed: Seed of the initialisation.

    Returns:
        A CLIP vision tower (5 layers, 160 wide), a two-layer projector and a Llama (4 layers, 128 wide).
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=160,
        intermediate_size=480,
        num_hidden_layers=5,
        num_attention_heads=5,
        image_size=IMAGE_SIDE,
        patch_size=PATCH_SIZE,
        projection_dim=160,
    )
    text = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 8) * 8,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(IMAGE_SIDE // PATCH_SIZE) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=64,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def build_encoder(*, seed: int) -> Dinov2Model:
    """Build the tiny DINOv2 (4 layers, 96 wide, 8 x 8 patches) with random weights."""
    torch.manual_seed(seed)
    return Dinov2Model(
        Dinov2Config(
            hidden_size=96,
            num_hidden_layers=4,
            num_attention_heads=3,
            mlp_ratio=4,
            image_size=IMAGE_SIDE,
            patch_size=PATCH_SIZE,
            layerscale_value=1.0,
            drop_path_rate=0.0,
        )
    )


def build_encoder_processor() -> BitImageProcessorPil:
    """Build the image processor of the tiny DINOv2: the whole image, resized to 64 x 64."""
    return BitImageProcessorPil(
        do_resize=True,
        size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        do_center_crop=False,
        crop_size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        do_rescale=True,
        do_normalize=True,
        image_mean=IMAGE_MEAN,
        image_std=IMAGE_STD,
        do_convert_rgb=True,
    )


def save_vlm(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Save the VLM with its processor, so that the Auto classes load it without further help."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    build_processor().save_pretrained(folder)


def save_encoder(model: Dinov2Model, folder: Path) -> None:
    """Save the encoder with its image processor, so that the Auto classes load it without further help."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    build_encoder_processor().save_pretrained(folder)
