"""The tiny VLM's training data: drawn images with several independent conversations packed behind each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from demo.captions import Turn, pretraining_scene, turns_about
from demo.drawing import IMAGE_SIDE, draw
from demo.patch_labels import PATCH_SIZE, patch_labels
from demo.tiny_models import IMAGE_MEAN, IMAGE_STD, build_tokenizer

IGNORED = -100
IMAGE_TOKENS = (IMAGE_SIDE // PATCH_SIZE) ** 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Images and several independent conversations about each, packed behind one copy of the image.

    `segments` is 0 for the shared prefix, 1, 2, ... for the conversations and -1 for padding.
    """

    pixels: torch.Tensor  # (batch, 3, side, side)
    patches: torch.Tensor  # (batch, 6, patches)
    tokens: torch.Tensor  # (batch, length)
    labels: torch.Tensor  # (batch, length)
    positions: torch.Tensor  # (batch, length)
    segments: torch.Tensor  # (batch, length)


class DrawnConversations(IterableDataset[Batch]):
    """Endless stream of batches, drawn on the fly from a seed."""

    def __init__(self, *, seed: int, batch_size: int, tokens: int) -> None:
        self.seed, self.batch_size, self.tokens = seed, batch_size, tokens

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self.seed)
        tokenizer = build_tokenizer()
        while True:
            yield _collate([self._row(rng, tokenizer) for _ in range(self.batch_size)], tokenizer)

    def _row(
        self, rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast
    ) -> tuple[np.ndarray, np.ndarray, list[int], list[int], list[int], list[int]]:
        scene = pretraining_scene(rng)
        tokens = list(_prefix(tokenizer))
        labels = [IGNORED] * len(tokens)
        positions, segments = list(range(len(tokens))), [0] * len(tokens)
        start = len(tokens)
        number = 1
        # Every row is filled to about the same length: short texts leave room for more conversations, not for padding.
        while True:
            conversation = turns_about(rng, scene, 2 if rng.random() < 0.1 else 1)
            own_tokens, own_labels = _encode(conversation, tokenizer)
            if number > 1 and len(tokens) + len(own_tokens) > self.tokens:
                break
            tokens += own_tokens
            labels += own_labels
            positions += range(start, start + len(own_tokens))
            segments += [number] * len(own_tokens)
            number += 1
        pixels = np.asarray(draw(scene))
        return pixels, patch_labels(scene), tokens, labels, positions, segments


def _prefix(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    tokens: list[int] = tokenizer.encode("USER: " + "<image>" * IMAGE_TOKENS + "\n", add_special_tokens=False)
    return tokens


def _encode(turns: list[Turn], tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """Token ids and labels of a conversation as the chat template writes it, from behind the image on."""
    tokens: list[int] = []
    labels: list[int] = []
    for number, turn in enumerate(turns):
        asked = tokenizer.encode(f"{'USER: ' if number else ''}{turn.prompt} ASSISTANT: ", add_special_tokens=False)
        answered = [*tokenizer.encode(turn.response, add_special_tokens=False), tokenizer.eos_token_id]
        tokens += asked + answered
        labels += [IGNORED] * len(asked) + answered
    return tokens, labels


def _collate(
    rows: list[tuple[np.ndarray, np.ndarray, list[int], list[int], list[int], list[int]]],
    tokenizer: PreTrainedTokenizerFast,
) -> Batch:
    length = max(len(row[2]) for row in rows)
    padded = [
        torch.tensor([row[column] + [filler] * (length - len(row[column])) for row in rows])
        for column, filler in ((2, tokenizer.pad_token_id), (3, IGNORED), (4, 0), (5, -1))
    ]
    pixels = torch.from_numpy(np.stack([row[0] for row in rows])).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(IMAGE_MEAN).view(3, 1, 1), torch.tensor(IMAGE_STD).view(3, 1, 1)
    patches = torch.from_numpy(np.stack([row[1] for row in rows]))
    return Batch((pixels - mean) / std, patches, *padded)


def packed_mask(segments: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Additive attention mask: causal, and a conversation sees the shared prefix and itself alone.

    Args:
        segments: (batch, length) int, as in `Batch`.
        dtype: Type of the mask.

    Returns:
        (batch, 1, length, length), 0 where attention is allowed.
    """
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]  # (batch, query, key)
    seen = (same | (segments[:, None, :] == 0)) & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    return mask[:, None]
