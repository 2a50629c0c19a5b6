"""The response loss against a loop over tokens, and what it costs."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from components.models.vlm.collate import collate
from components.models.vlm.labels import NO_LABEL, EncodedSample, encode, encode_without_question
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import response_losses
from tests.components.models.vlm.samples import draw_samples


def loss_by_loop(vlm: LoadedVlm, sample: EncodedSample) -> float:
    """One prediction at a time, each from the tokens before it."""
    losses = []
    with torch.no_grad():
        for position in range(1, len(sample.input_ids)):
            if sample.labels[position] == NO_LABEL:
                continue
            before = EncodedSample(
                sample.input_ids[:position],
                sample.labels[:position],
                sample.image,
                sample.image_end,
                sample.first_response,
                False,
            )
            batch = collate(vlm, [before])
            del batch["labels"]
            probabilities = vlm.model(**batch).logits[0, -1].double().softmax(-1)
            losses.append(-math.log(float(probabilities[sample.labels[position]])))
    return math.fsum(losses) / len(losses)


def test_losses_are_those_of_a_loop_over_tokens(vlm: LoadedVlm, tmp_path: Path) -> None:
    samples = draw_samples(tmp_path, 2, seed=7, turns=2)
    encoded = []
    for sample in samples:
        image = Image.open(sample.uri).convert("RGB")
        encoded += [encode(vlm, sample, image), encode_without_question(vlm, sample, image)]
    losses = response_losses(vlm, encoded)
    assert [loss.mean for loss in losses] == pytest.approx([loss_by_loop(vlm, one) for one in encoded], abs=1e-5)
    assert [loss.tokens for loss in losses] == [int((one.labels != NO_LABEL).sum()) for one in encoded]


def test_logits_are_computed_for_labels_only(vlm: LoadedVlm, tmp_path: Path) -> None:
    sample = draw_samples(tmp_path, 1, seed=2)[0]
    encoded = encode(vlm, sample, Image.open(sample.uri).convert("RGB"))
    shapes: list[torch.Size] = []
    hook = vlm.model.get_output_embeddings().register_forward_hook(
        lambda _module, inputs, _output: shapes.append(inputs[0].shape)
    )
    response_losses(vlm, [encoded])
    hook.remove()
    assert [shape.numel() // shape[-1] for shape in shapes] == [encoded.response_tokens]


def test_loss_depends_on_the_image(vlm: LoadedVlm, tmp_path: Path) -> None:
    sample = draw_samples(tmp_path, 1, seed=2)[0]
    image = Image.open(sample.uri).convert("RGB")
    images = (image, Image.new("RGB", image.size, "black"))
    one, other = response_losses(vlm, [encode(vlm, sample, each) for each in images])
    assert abs(one.mean - other.mean) > 1e-4
