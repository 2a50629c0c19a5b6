"""Greedy answers in batches are those of one prompt at a time, and of a loop over tokens."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from components.compute.engine import Engine
from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.vlm.collate import collate
from components.models.vlm.generate import Prompt, generate_answers
from components.models.vlm.labels import EncodedSample, SampleError, encode_prompt
from components.models.vlm.load import LoadedVlm
from components.models.vlm.source import VlmFiles
from components.pool.images import ImageError
from tests.components.models.vlm.samples import PIXEL_LIMIT, draw_samples, toy_parameters
from tests.components.models.vlm.toy_architectures import CONTEXT_LENGTH
from tests.shuffled_engine import ShuffledEngine

NEW_TOKENS = 6


@pytest.fixture
def prompts(tmp_path: Path) -> list[Prompt]:
    return [
        Prompt(sample.uri, "", sample.turns[:-1], sample.turns[-1].question)
        for sample in draw_samples(tmp_path, 5, seed=21)
    ]


def answers(vlm: LoadedVlm, prompts: list[Prompt], *, batch_size: int, new_tokens: int = NEW_TOKENS) -> list[str]:
    found = generate_answers(
        vlm,
        prompts,
        batch_size=batch_size,
        max_new_tokens=new_tokens,
        pixel_limit=PIXEL_LIMIT,
        progress=no_progress,
        engine=LocalEngine(),
    )
    return [answer for answer in found if isinstance(answer, str)]


def ids_by_loop(vlm: LoadedVlm, prompt: Prompt, count: int) -> list[int]:
    """Always the likeliest next token, the whole text read again each time."""
    encoded = encode_prompt(vlm, prompt.history, prompt.question, Image.open(prompt.uri).convert("RGB"))
    ids = encoded.input_ids
    with torch.no_grad():
        for _ in range(count):
            batch = collate(
                vlm, [EncodedSample(ids, ids, encoded.image, encoded.image_end, encoded.first_response, False)]
            )
            del batch["labels"]
            ids = torch.cat([ids, vlm.model(**batch).logits[0, -1].argmax()[None]])
    return [int(token) for token in ids[len(encoded.input_ids) :]]


def decode(vlm: LoadedVlm, ids: list[int]) -> str:
    return str(vlm.processor.tokenizer.decode(ids, skip_special_tokens=True)).strip()


def test_answers_do_not_depend_on_the_batch(vlm: LoadedVlm, prompts: list[Prompt]) -> None:
    alone = answers(vlm, prompts, batch_size=1)
    assert answers(vlm, prompts, batch_size=3) == alone
    assert answers(vlm, prompts[::-1], batch_size=5) == alone[::-1]
    assert len(set(alone)) > 1


def test_answer_is_that_of_a_loop_over_tokens(vlm: LoadedVlm, prompts: list[Prompt]) -> None:
    ends = set(vlm.model.generation_config.eos_token_id)
    for prompt, answer in zip(prompts[:2], answers(vlm, prompts[:2], batch_size=2), strict=True):
        ids = ids_by_loop(vlm, prompt, NEW_TOKENS)
        stop = next((k for k, token in enumerate(ids) if token in ends), NEW_TOKENS)
        assert answer == decode(vlm, ids[:stop])


def test_answer_ends_at_the_end_of_its_turn(vlm: LoadedVlm, prompts: list[Prompt]) -> None:
    ids = ids_by_loop(vlm, prompts[0], NEW_TOKENS)
    stop = next(k for k in range(1, NEW_TOKENS) if ids[k] not in ids[:k])
    model = copy.deepcopy(vlm.model)
    model.generation_config.eos_token_id = [ids[stop]]
    assert answers(replace(vlm, model=model), prompts, batch_size=5)[0] == decode(vlm, ids[:stop])


def test_end_of_turn_of_the_template_ends_an_answer(vlm: LoadedVlm) -> None:
    end = vlm.processor.tokenizer.convert_tokens_to_ids(vlm.template.end_of_turn)
    assert end in vlm.model.generation_config.eos_token_id


def test_history_is_part_of_the_prompt(vlm: LoadedVlm, prompts: list[Prompt]) -> None:
    asked = [prompt for prompt in prompts if prompt.history]
    alone = [replace(prompt, history=()) for prompt in asked]
    assert asked
    assert answers(vlm, asked, batch_size=4) != answers(vlm, alone, batch_size=4)


def test_nothing_to_answer(loaded: Callable[[str], LoadedVlm]) -> None:
    assert answers(loaded("llava"), [], batch_size=4) == []


def test_missing_image_is_an_error(loaded: Callable[[str], LoadedVlm], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.png"):
        answers(loaded("llava"), [Prompt(str(tmp_path / "nowhere.png"), "", (), "What?")], batch_size=4)


def test_elsewhere_the_answers_are_the_same(toy_vlm: Callable[[str], Path], prompts: list[Prompt]) -> None:
    prompts[1] = replace(prompts[1], question="long " * CONTEXT_LENGTH)

    def answered(prompts: list[Prompt], engine: Engine) -> list[str]:
        found = generate_answers(
            VlmFiles(toy_parameters(toy_vlm("llava"))),
            prompts,
            batch_size=2,
            max_new_tokens=NEW_TOKENS,
            pixel_limit=PIXEL_LIMIT,
            progress=no_progress,
            engine=engine,
        )
        return [str(answer) for answer in found]

    here = answered(prompts, LocalEngine())
    assert here[1].startswith("prompt_exceeds_context: ")
    assert answered(prompts, ShuffledEngine()) == here
    here[3] = f"decoder_died: {prompts[3].uri}: it ended the process"
    assert answered(prompts, ShuffledEngine(lost={prompts[3].uri})) == here
    prompts[2] = replace(prompts[2], uri="nowhere.png")
    with pytest.raises(ImageError, match=r"nowhere\.png"):
        answered(prompts, ShuffledEngine())


def test_progress_reaches_the_total(loaded: Callable[[str], LoadedVlm], prompts: list[Prompt]) -> None:
    seen: list[tuple[int, int]] = []
    generate_answers(
        loaded("llava"),
        prompts,
        batch_size=2,
        max_new_tokens=1,
        pixel_limit=PIXEL_LIMIT,
        progress=lambda done, total: seen.append((done, total)),
        engine=LocalEngine(),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_a_prompt_that_does_not_fit_takes_no_other_answer_with_it(vlm: LoadedVlm, prompts: list[Prompt]) -> None:
    alone = answers(vlm, prompts, batch_size=1)
    long = replace(prompts[1], question="long " * vlm.context_length)
    asked = [prompts[0], long, *prompts[1:]]
    found = generate_answers(
        vlm,
        asked,
        batch_size=3,
        max_new_tokens=NEW_TOKENS,
        pixel_limit=PIXEL_LIMIT,
        progress=no_progress,
        engine=LocalEngine(),
    )
    assert [answer for answer in found if isinstance(answer, str)] == alone
    assert isinstance(found[1], SampleError)
    assert found[1].reason == "prompt_exceeds_context"
