"""Responses written in batches: greedy ones as in the benchmark, sampled ones by their seed alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.vlm.collate import collate
from components.models.vlm.generate import Prompt, generate_answers
from components.models.vlm.labels import EncodedSample, encode_prompt
from components.models.vlm.load import LoadedVlm
from components.models.vlm.write import WrittenResponse, write_responses
from tests.components.models.vlm.samples import PIXEL_LIMIT, draw_samples

NEW_TOKENS = 6


@pytest.fixture
def prompts(tmp_path: Path) -> list[Prompt]:
    return [
        Prompt(sample.uri, "", sample.turns[:-1], sample.turns[-1].question)
        for sample in draw_samples(tmp_path, 5, seed=21)
    ]


def encode_all(vlm: LoadedVlm, prompts: list[Prompt]) -> list[EncodedSample]:
    return [
        encode_prompt(vlm, prompt.history, prompt.question, Image.open(prompt.uri).convert("RGB")) for prompt in prompts
    ]


def write(
    vlm: LoadedVlm, encoded: list[EncodedSample], *, temperature: float, seeds: list[int], batch_size: int
) -> list[WrittenResponse]:
    written: list[WrittenResponse] = []
    for start in range(0, len(encoded), batch_size):
        part = slice(start, start + batch_size)
        written += write_responses(
            vlm, encoded[part], max_new_tokens=NEW_TOKENS, temperature=temperature, seeds=seeds[part]
        )
    return written


def test_the_likeliest_responses_are_those_of_the_benchmark(vlm: LoadedVlm, prompts: list[Prompt]) -> None:
    written = write(vlm, encode_all(vlm, prompts), temperature=0.0, seeds=[0] * 5, batch_size=5)
    answers = generate_answers(
        vlm,
        prompts,
        batch_size=2,
        max_new_tokens=NEW_TOKENS,
        pixel_limit=PIXEL_LIMIT,
        progress=no_progress,
        engine=LocalEngine(),
    )
    assert [response.text.strip() for response in written] == answers


def test_sampled_responses_do_not_depend_on_the_batch(vlm: LoadedVlm, prompts: list[Prompt]) -> None:
    encoded, seeds = encode_all(vlm, prompts), [11, 12, 13, 14, 2**63 - 1]
    alone = write(vlm, encoded, temperature=1.0, seeds=seeds, batch_size=1)
    assert write(vlm, encoded, temperature=1.0, seeds=seeds, batch_size=3) == alone
    assert write(vlm, encoded[::-1], temperature=1.0, seeds=seeds[::-1], batch_size=5) == alone[::-1]
    assert write(vlm, encoded, temperature=1.0, seeds=[1, 2, 3, 4, 5], batch_size=5) != alone


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_samples_are_drawn_from_the_softmax(
    loaded: Callable[[str], LoadedVlm], prompts: list[Prompt], temperature: float
) -> None:
    vlm, draws = loaded("llava"), 1500
    encoded = encode_all(vlm, prompts[:1])[0]
    batch = collate(vlm, [encoded])
    del batch["labels"]
    with torch.no_grad():
        logits = vlm.model(**batch).logits[0, -1] * 30  # sharpened, or the toy model's would be all but uniform
    weights = torch.softmax(logits.double() / temperature, dim=0)  # (vocabulary,)

    head = vlm.model.lm_head
    sharpen = head.register_forward_hook(lambda _, __, output: output * 30)
    try:
        drawn = write_responses(
            vlm, [encoded] * draws, max_new_tokens=1, temperature=temperature, seeds=list(range(draws))
        )
    finally:
        sharpen.remove()
    decode = vlm.processor.tokenizer.decode
    for token in weights.topk(5).indices.tolist():
        text = decode([token], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        same = sum(
            float(weight)
            for other, weight in enumerate(weights)
            if decode([other], skip_special_tokens=True, clean_up_tokenization_spaces=False) == text
        )
        share = sum(response.text == text for response in drawn) / draws
        assert share == pytest.approx(same, abs=4 * (same * (1 - same) / draws) ** 0.5)


def test_length_and_end(loaded: Callable[[str], LoadedVlm], prompts: list[Prompt]) -> None:
    vlm = loaded("llava")
    encoded = encode_all(vlm, prompts)
    cut = write(vlm, encoded, temperature=0.0, seeds=[0] * 5, batch_size=5)
    assert {(response.tokens, response.finished) for response in cut} == {(NEW_TOKENS, False)}

    # A head that writes the end-of-turn token at once.
    end = vlm.bare_model.generation_config.eos_token_id[0]

    def prefer_end(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        preferred = output.clone()
        preferred[..., end] = 1e9
        return preferred

    hook = vlm.model.lm_head.register_forward_hook(prefer_end)
    try:
        ended = write(vlm, encoded, temperature=0.0, seeds=[0] * 5, batch_size=5)
    finally:
        hook.remove()
    assert {(response.text, response.tokens, response.finished) for response in ended} == {("", 1, True)}
