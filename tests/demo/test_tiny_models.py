from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    Dinov2Model,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from demo.captions import pretraining_scene
from demo.drawing import draw
from demo.scenes import items_scene, jitter
from demo.tiny_models import CONTEXT_LENGTH, ENCODER_FOLDER, SPECIAL_TOKENS, VLM_FOLDER


@pytest.fixture(scope="module")
def encoder() -> Dinov2Model:
    return AutoModel.from_pretrained(ENCODER_FOLDER).eval()


@pytest.fixture(scope="module")
def vlm() -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    return (
        AutoModelForImageTextToText.from_pretrained(VLM_FOLDER).eval(),
        AutoProcessor.from_pretrained(VLM_FOLDER),
    )


def test_weights_are_safetensors_and_small() -> None:
    paths = [path for folder in (ENCODER_FOLDER, VLM_FOLDER) for path in folder.iterdir()]
    assert {path.suffix for path in paths} <= {".json", ".safetensors", ".jinja"}
    assert [Path(p).name for p in paths if p.suffix == ".safetensors"] == ["model.safetensors"] * 2
    assert sum(path.stat().st_size for path in paths) < 12e6


def test_auto_classes_load_both_models(
    encoder: Dinov2Model, vlm: tuple[LlavaForConditionalGeneration, LlavaProcessor]
) -> None:
    model, processor = vlm
    assert isinstance(encoder, Dinov2Model)
    assert isinstance(model, LlavaForConditionalGeneration)
    assert isinstance(processor, LlavaProcessor)
    assert model.dtype == encoder.dtype == torch.float32
    assert model.config.text_config.max_position_embeddings == CONTEXT_LENGTH >= 2048


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_tokenizer_gives_back_any_text_one_token_per_byte(text: str) -> None:
    tokenizer = AutoProcessor.from_pretrained(VLM_FOLDER).tokenizer
    if not any(token in text for token in SPECIAL_TOKENS):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        assert len(tokens) == len(text.encode())
        assert tokenizer.decode(tokens) == text


def conversation(*texts: str) -> list[dict[str, object]]:
    image = {"type": "image", "image": draw(items_scene(np.random.default_rng(0), [("star", "red")]))}
    return [
        {
            "role": "assistant" if position % 2 else "user",
            "content": [*([image] if position == 0 else []), {"type": "text", "text": text}],
        }
        for position, text in enumerate(texts)
    ]


def test_chat_template_of_several_turns_marks_the_responses(
    vlm: tuple[LlavaForConditionalGeneration, LlavaProcessor],
) -> None:
    _, processor = vlm
    turns = conversation("What is it?", "a star", "Really?", "yes")
    text = processor.apply_chat_template(turns, tokenize=False)
    assert text == "USER: <image>\nWhat is it? ASSISTANT: a star</s>USER: Really? ASSISTANT: yes</s>"
    inputs = processor.apply_chat_template(
        turns, tokenize=True, return_dict=True, return_tensors="pt", return_assistant_tokens_mask=True
    )
    mask = torch.as_tensor(inputs["assistant_masks"][0]).bool()
    assert processor.tokenizer.decode(inputs["input_ids"][0][mask]) == "a star</s>yes</s>"


def test_the_prompt_alone_is_a_prefix_of_the_conversation(
    vlm: tuple[LlavaForConditionalGeneration, LlavaProcessor],
) -> None:
    _, processor = vlm
    whole = processor.apply_chat_template(conversation("What is it?", "a star"), tokenize=False)
    prompt = processor.apply_chat_template(conversation("What is it?"), tokenize=False, add_generation_prompt=True)
    assert whole == prompt + "a star</s>"


def test_an_image_becomes_64_tokens_and_generation_ends_by_itself(
    vlm: tuple[LlavaForConditionalGeneration, LlavaProcessor],
) -> None:
    model, processor = vlm
    inputs = processor.apply_chat_template(
        conversation("Caption:"), tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    assert int((inputs["input_ids"] == model.config.image_token_index).sum()) == 64
    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
    with torch.inference_mode():
        generated = model.generate(**inputs, max_new_tokens=60)[0, inputs["input_ids"].shape[1] :]
    assert generated[-1] == processor.tokenizer.eos_token_id
    assert processor.tokenizer.decode(generated, skip_special_tokens=True).startswith("red star")


def test_the_vlm_describes_most_single_items(vlm: tuple[LlavaForConditionalGeneration, LlavaProcessor]) -> None:
    model, processor = vlm
    rng = np.random.default_rng(11)
    right = 0
    looks = [
        (shape, color)
        for shape in ("circle", "star", "cross", "square")
        for color in ("red", "blue", "green", "yellow")
    ]
    prompt = processor.apply_chat_template(conversation("Caption:"), tokenize=False, add_generation_prompt=True)
    images = [draw(items_scene(rng, [look])) for look in looks]
    inputs = processor(images=images, text=[prompt] * len(images), return_tensors="pt")
    with torch.inference_mode():
        generated = model.generate(**inputs, max_new_tokens=30)[:, inputs["input_ids"].shape[1] :]
    for (shape, color), text in zip(looks, processor.tokenizer.batch_decode(generated), strict=True):
        right += text.startswith(f"{color} {shape}")
    assert right >= 0.7 * len(looks)


def test_second_takes_are_near_and_other_scenes_far(encoder: Dinov2Model) -> None:
    processor = AutoImageProcessor.from_pretrained(ENCODER_FOLDER)
    rng = np.random.default_rng(2)
    scenes = [pretraining_scene(rng) for _ in range(40)]
    takes = [draw(scene) for scene in scenes] + [draw(jitter(rng, scene)) for scene in scenes]
    with torch.inference_mode():
        vectors = encoder(**processor(takes, return_tensors="pt")).last_hidden_state[:, 0]
    unit = functional.normalize(vectors, dim=1)
    cosines = unit[:40] @ unit[40:].T  # (first take, second take)
    assert (cosines.argmax(dim=1) == torch.arange(40)).float().mean() > 0.9
    assert cosines.diagonal().median() > 0.97
    assert cosines[~torch.eye(40, dtype=torch.bool)].median() < 0.6
