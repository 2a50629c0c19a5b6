"""Responses written by a model in batches: the likeliest ones, or sampled ones that a seed decides.

`generate` answers benchmark questions; here a response comes with its length, and it may be sampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from components.models.vlm.collate import collate
from components.models.vlm.labels import EncodedSample
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import to_model


@dataclass(frozen=True, slots=True)
class WrittenResponse:
    """What a model wrote.

    Attributes:
        text: without the end-of-turn token.
        tokens: written, the end-of-turn token included.
        finished: it ended by itself; False when it was cut off.
    """

    text: str
    tokens: int
    finished: bool


@torch.no_grad()
def write_responses(
    vlm: LoadedVlm,
    prompts: Sequence[EncodedSample],
    *,
    max_new_tokens: int,
    temperature: float,
    seeds: Sequence[int],
) -> list[WrittenResponse]:
    """Write a response to each prompt, all in one batch.

    The random numbers of a response come from its own seed, whatever else is in the batch. What is left of the batch's
    influence is the rounding of the arithmetic, which depends on the shape of the batch: in float32 it practically
    never changes a token, in bfloat16 it can where two tokens are about equally likely.

    Args:
        vlm: the model.
        prompts: at least one, from `encode_prompt`.
        max_new_tokens: tokens of a response at most.
        temperature: of sampling, above 0; 0: always the likeliest token.
        seeds: one for each prompt, 0 to 2^63 - 1; without influence at temperature 0.

    Returns:
        One response per prompt, in order.
    """
    batch = collate(vlm, prompts, side="left")
    del batch["labels"]
    noise = [_GumbelNoise(temperature, seeds, vlm.device)] if temperature > 0 else []
    tokens = vlm.bare_model.generate(
        **{name: to_model(vlm, tensor) for name, tensor in batch.items()},
        max_new_tokens=max_new_tokens,
        pad_token_id=vlm.pad_token_id,
        logits_processor=noise,
    )  # (batch, prompt + new)
    new = tokens[:, batch["input_ids"].shape[1] :].tolist()  # (batch, new)
    ends = frozenset(vlm.bare_model.generation_config.eos_token_id)
    return [_read(vlm, row, ends) for row in new]


class _GumbelNoise:
    """Makes the largest logit a sample: argmax(logits / T + G) of Gumbel noise G is drawn from softmax(logits / T).

    So sampling is left to the same greedy choice as temperature 0, and every row draws from a generator of its own. On
    a GPU the generators are the GPU's, so a seed gives other responses there than on a CPU.
    """

    def __init__(self, temperature: float, seeds: Sequence[int], device: torch.device) -> None:
        self._temperature = temperature
        self._generators = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 -- generate's form
        # In float32 one number in 17 million would be exactly 0 or next to 1, too many for a large vocabulary.
        uniform = torch.stack(
            [
                torch.rand(scores.shape[1], generator=generator, device=scores.device, dtype=torch.float64)
                for generator in self._generators
            ]
        )  # (batch, vocabulary)
        return scores / self._temperature - torch.log(-torch.log(uniform))


def _read(vlm: LoadedVlm, row: Sequence[int], ends: frozenset[int]) -> WrittenResponse:
    length = next((place for place, token in enumerate(row) if token in ends), None)
    text = vlm.processor.tokenizer.decode(row[:length], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return WrittenResponse(str(text), len(row) if length is None else length + 1, finished=length is not None)
