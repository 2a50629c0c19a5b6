"""Models of published shapes with random weights, saved as the loaders take them: speed does not depend on weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    LlamaConfig,
    LlavaConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from demo.tiny_models import CHAT_TEMPLATE, build_tokenizer

_PATCH = 14  # pixels of a side, of DINOv2 and of CLIP large


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """A DINOv2: its layers, its width and its heads."""

    layers: int
    width: int
    heads: int


@dataclass(frozen=True, slots=True)
class LlavaShape:
    """A LLaVA: layers, width and heads of vision tower and language model, and the pixels of an image's side."""

    vision: tuple[int, int, int]
    text: tuple[int, int, int]
    inner: int  # width inside the language model's feed-forward layers
    vocabulary: int
    side: int


DINOV2_BASE = EncoderShape(layers=12, width=768, heads=12)
LLAVA_7B = LlavaShape(vision=(24, 1024, 16), text=(32, 4096, 32), inner=11008, vocabulary=32064, side=336)
TOY_ENCODER = EncoderShape(layers=2, width=64, heads=2)
TOY_LLAVA = LlavaShape(vision=(2, 64, 2), text=(2, 64, 2), inner=128, vocabulary=320, side=56)


def save_encoder(shape: EncoderShape, folder: Path, *, side: int, seed: int) -> None:
    """Save a DINOv2 with its image processor: the shorter side resized to 8/7 of `side`, then a crop of that."""
    torch.manual_seed(seed)
    model = Dinov2Model(
        Dinov2Config(
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            image_size=518,  # of the position embeddings, which are interpolated
            patch_size=_PATCH,
        )
    )
    model.save_pretrained(folder)
    BitImageProcessorPil(
        size={"shortest_edge": side * 8 // 7}, crop_size={"height": side, "width": side}
    ).save_pretrained(folder)


def save_llava(shape: LlavaShape, folder: Path, *, device: torch.device, dtype: torch.dtype, seed: int) -> None:
    """Save a LLaVA with its processor, its weights drawn on the device; text is bytes, a token each."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(_llava_config(shape, tokenizer), dtype=dtype)
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"height": shape.side, "width": shape.side}, crop_size={"height": shape.side, "width": shape.side}
        ),
        tokenizer=tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)


def _llava_config(shape: LlavaShape, tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    vision_layers, vision_width, vision_heads = shape.vision
    layers, width, heads = shape.text
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=vision_width,
            intermediate_size=4 * vision_width,
            num_hidden_layers=vision_layers,
            num_attention_heads=vision_heads,
            image_size=shape.side,
            patch_size=_PATCH,
        ),
        text_config=LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=width,
            intermediate_size=shape.inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=4096,
            bos_token_id=None,
            **ids,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(shape.side // _PATCH) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        **ids,
    )
