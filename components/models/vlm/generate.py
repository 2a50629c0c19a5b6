"""Greedy answers to questions about images, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

import torch

from components.compute.engine import Engine, Work
from components.compute.progress import Progress
from components.models.vlm.collate import collate
from components.models.vlm.labels import EncodedSample, SampleError, encode_prompt
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import to_model
from components.models.vlm.source import VlmSource
from components.pool.images import load_image
from components.pool.reasons import QuarantineReason
from components.pool.samples import Turn


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question about an image.

    Attributes:
        uri: where the image is, as `components.pool.images.load_image` takes it.
        image_sha: sha256 of the image's bytes, hex; empty: not checked.
        history: turns before the question, with their responses; possibly none.
        question: what is asked.
    """

    uri: str
    image_sha: str
    history: tuple[Turn, ...]
    question: str


_Numbered = tuple[int, Prompt]  # with its place among the prompts


def generate_answers(
    vlm: VlmSource,
    prompts: Sequence[Prompt],
    *,
    batch_size: int,
    max_new_tokens: int,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
) -> list[str | SampleError]:
    """Answer prompts greedily; the answers do not depend on the batches.

    Args:
        vlm: the model.
        prompts: what to answer.
        batch_size: prompts generated at a time; batches hold prompts of similar length.
        max_new_tokens: tokens of an answer at most; it ends earlier at an end-of-turn token.
        pixel_limit: images with more pixels are not opened.
        progress: told how many prompts are done.
        engine: where they are answered.

    Returns:
        The new text of every prompt, stripped, in the order of `prompts`; for one that cannot be asked, because it does
        not fit the context or its image is refused or ends the process that decodes it, the error that says so.

    Raises:
        ImageError: an image cannot be opened.
    """
    by_length = sorted(range(len(prompts)), key=lambda index: (_characters(prompts[index]), index))
    numbered = [(index, prompts[index]) for index in by_length]
    batches = [numbered[start : start + batch_size] for start in range(0, len(numbered), batch_size)]
    answering = Work(
        name="answer",
        open=vlm.open,
        load=vlm.load,
        prepare=partial(_prepare, pixel_limit=pixel_limit),
        compute=partial(_answer, max_new_tokens=max_new_tokens),
        describe=_uri,
        advice="lower the number of prompts that are answered at a time (benchmark.batch_size) or vlm.max_pixels",
    )
    answers: list[str | SampleError] = [""] * len(prompts)
    done = 0
    for came in engine.compute(batches, answering):
        for (index, _), answer in zip(came.items, came.result, strict=True):
            answers[index] = answer
        for (index, prompt), why in came.lost:
            answers[index] = SampleError(str(QuarantineReason.DECODER_DIED), f"{prompt.uri}: {why}")
        done += len(came.items) + len(came.lost)
        progress(done, len(prompts))
    return answers


def _uri(numbered: _Numbered) -> str:
    return numbered[1].uri


def _prepare(vlm: LoadedVlm, prompts: Sequence[_Numbered], *, pixel_limit: int) -> list[EncodedSample | SampleError]:
    return [_encode(vlm, prompt, pixel_limit) for _, prompt in prompts]


def _answer(
    vlm: LoadedVlm, encoded: Sequence[EncodedSample | SampleError], *, max_new_tokens: int
) -> list[str | SampleError]:
    written = iter(_generate(vlm, [one for one in encoded if isinstance(one, EncodedSample)], max_new_tokens))
    return [next(written) if isinstance(one, EncodedSample) else one for one in encoded]


def _characters(prompt: Prompt) -> int:
    return len(prompt.question) + sum(len(turn.question) + len(turn.response) for turn in prompt.history)


def _encode(vlm: LoadedVlm, prompt: Prompt, pixel_limit: int) -> EncodedSample | SampleError:
    image = load_image(prompt.uri, image_sha=prompt.image_sha, pixel_limit=pixel_limit)
    try:
        return encode_prompt(vlm, prompt.history, prompt.question, image)
    except SampleError as error:
        return error


@torch.no_grad()
def _generate(vlm: LoadedVlm, prompts: Sequence[EncodedSample], max_new_tokens: int) -> list[str]:
    if not prompts:
        return []
    batch = collate(vlm, prompts, side="left")
    del batch["labels"]
    tokens = vlm.bare_model.generate(
        **{name: to_model(vlm, tensor) for name, tensor in batch.items()},
        max_new_tokens=max_new_tokens,
        pad_token_id=vlm.pad_token_id,
    )  # (batch, prompt + new)
    new = tokens[:, batch["input_ids"].shape[1] :].tolist()  # (batch, new)
    ends = set(vlm.bare_model.generation_config.eos_token_id)
    written = [list(takewhile(lambda token: token not in ends, row)) for row in new]
    texts = vlm.processor.tokenizer.batch_decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [text.strip() for text in texts]
