"""Batches are padded on the side asked for, and images of different shapes join."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from PIL import Image

from components.models.vlm.collate import collate, collate_images, pad_rows
from components.models.vlm.image_inputs import ImageInputs
from components.models.vlm.labels import NO_LABEL, EncodedSample, encode
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import response_losses
from tests.components.models.vlm.samples import draw_samples


@pytest.fixture
def encoded(vlm: LoadedVlm, tmp_path: Path) -> list[EncodedSample]:
    samples = draw_samples(tmp_path, 5, seed=3)
    return [encode(vlm, sample, Image.open(sample.uri).convert("RGB")) for sample in samples]


def test_rows_are_padded_on_the_side_asked_for() -> None:
    rows = [torch.tensor([1, 2, 3]), torch.tensor([4])]
    assert pad_rows(rows, 0, side="right").tolist() == [[1, 2, 3], [4, 0, 0]]
    assert pad_rows(rows, 9, side="left").tolist() == [[1, 2, 3], [9, 9, 4]]


def test_missing_tiles_are_zeros() -> None:
    few = ImageInputs({"pixel_values": torch.ones(1, 2, 3, 4, 4)}, "")
    many = ImageInputs({"pixel_values": torch.ones(1, 5, 3, 4, 4)}, "")
    joined = collate_images([few, many])["pixel_values"]
    assert joined.shape == (2, 5, 3, 4, 4)
    assert joined[0, 2:].abs().sum() == 0
    assert joined[0, :2].min() == joined[1].min() == 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_mask_says_where_the_tokens_are(
    side: Literal["left", "right"], vlm: LoadedVlm, encoded: list[EncodedSample]
) -> None:
    batch = collate(vlm, encoded, side=side)
    for row, sample in enumerate(encoded):
        there = batch["attention_mask"][row].bool()
        assert batch["input_ids"][row][there].tolist() == sample.input_ids.tolist()
        assert batch["labels"][row][there].tolist() == sample.labels.tolist()
        assert bool((batch["labels"][row][~there] == NO_LABEL).all())
    assert not bool(batch["attention_mask"].all())


def test_loss_does_not_depend_on_the_batch(vlm: LoadedVlm, encoded: list[EncodedSample]) -> None:
    together = [loss.mean for loss in response_losses(vlm, encoded)]
    alone = [response_losses(vlm, [sample])[0].mean for sample in encoded]
    assert together == pytest.approx(alone, abs=2e-6)
    assert max(alone) - min(alone) > 1e-3


def test_trainers_loss_is_the_mean_over_all_labels(vlm: LoadedVlm, encoded: list[EncodedSample]) -> None:
    losses = response_losses(vlm, encoded)
    expected = sum(loss.mean * loss.tokens for loss in losses) / sum(loss.tokens for loss in losses)
    assert float(vlm.model(**collate(vlm, encoded)).loss.detach()) == pytest.approx(expected, abs=1e-5)
