"""Every supported architecture is used as its own code uses it: each result against transformers alone."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.features.activations import chosen_attention, pooled_activations
from components.models.features.per_sample_gradients import attention_lora_matrices, per_sample_gradients
from components.models.scoring.instruction_relevance_score import score_samples
from components.models.vlm.collate import collate
from components.models.vlm.generate import Prompt, generate_answers
from components.models.vlm.labels import encode
from components.models.vlm.load import LoadedVlm
from components.models.vlm.response_loss import response_losses
from components.models.vlm.special_cases import SUPPORTED
from components.pool.samples import InstructedImage, Turn
from tests.components.models.features.conftest import with_lora
from tests.components.models.vlm.own_code import (
    own_inputs,
    own_inputs_without_question,
    own_labels,
    own_loss,
    turns_of,
)
from tests.components.models.vlm.samples import PIXEL_LIMIT, load_toy, noise_image
from tests.components.models.vlm.toy_architectures import ARCHITECTURES, CHECKPOINT_TYPES

pytestmark = pytest.mark.slow(25)

TURNS = (
    (Turn("What colour is the circle?", "It is red."), Turn("And now?", "12 é left"), Turn("Sure?", "Yes.")),
    (Turn("Which?", "The large square, left of the circle."), Turn("Why?", "No."), Turn("Really?", "Yes, it is.")),
)
SIZES = ((70, 40), (30, 66))
NEW_TOKENS = 5


@pytest.fixture(scope="module", params=ARCHITECTURES)
def tuned(request: pytest.FixtureRequest, toy_vlm: Callable[[str], Path]) -> LoadedVlm:
    """Every toy architecture in turn, as after a tune."""
    return with_lora(load_toy(toy_vlm(request.param)))


@pytest.fixture
def images() -> list[Image.Image]:
    return [noise_image(*size, seed=seed) for seed, size in enumerate(SIZES)]


@pytest.fixture
def samples(tuned: LoadedVlm, images: list[Image.Image], tmp_path: Path) -> list[InstructedImage]:
    """Two, of different lengths, so that a batch has padding."""
    found = []
    for index, (image, turns) in enumerate(zip(images, TURNS, strict=True)):
        path = tmp_path / f"{index}.png"
        image.save(path)
        found.append(InstructedImage(f"task/{index}", "task", str(path), "", turns[: turns_of(tuned)]))
    return found


def own_losses(vlm: LoadedVlm, samples: Sequence[InstructedImage], images: Sequence[Image.Image]) -> list[torch.Tensor]:
    return [
        own_loss(vlm.model, own_inputs(vlm, sample.turns, image), own_labels(vlm, sample.turns, image))
        for sample, image in zip(samples, images, strict=True)
    ]


def test_what_is_supported_is_what_is_tested() -> None:
    assert {CHECKPOINT_TYPES.get(name, name) for name in ARCHITECTURES} == set(SUPPORTED)


def test_ids_labels_and_arguments(tuned: LoadedVlm, samples: list[InstructedImage], images: list[Image.Image]) -> None:
    for sample, image in zip(samples, images, strict=True):
        own = own_inputs(tuned, sample.turns, image)
        batch = collate(tuned, [encode(tuned, sample, image)])
        assert torch.equal(batch.pop("labels"), own_labels(tuned, sample.turns, image))
        assert batch.keys() == own.keys()
        for name, tensor in batch.items():
            torch.testing.assert_close(tensor, torch.as_tensor(own[name]).reshape(tensor.shape), msg=name)


def test_losses(tuned: LoadedVlm, samples: list[InstructedImage], images: list[Image.Image]) -> None:
    with torch.no_grad():
        expected = [float(loss) for loss in own_losses(tuned, samples, images)]
    encoded = [encode(tuned, sample, image) for sample, image in zip(samples, images, strict=True)]
    assert [loss.mean for loss in response_losses(tuned, encoded)] == pytest.approx(expected, abs=1e-5)
    other = encode(tuned, samples[0], Image.new("RGB", images[0].size))
    assert abs(response_losses(tuned, [other])[0].mean - expected[0]) > 1e-4, "the image must matter"


def test_instruction_relevance_score(
    tuned: LoadedVlm, samples: list[InstructedImage], images: list[Image.Image]
) -> None:
    rows = score_samples(
        tuned, samples, batch_size=2, pixel_limit=PIXEL_LIMIT, progress=no_progress, engine=LocalEngine()
    ).scores.to_pylist()
    with torch.no_grad():
        with_question = own_losses(tuned, samples, images)
    for row, expected, sample, image in zip(rows, with_question, samples, images, strict=True):
        joined = " ".join(turn.response for turn in sample.turns)
        inputs = own_inputs_without_question(tuned, joined, image, answered=True)
        start = own_inputs_without_question(tuned, joined, image, answered=False)["input_ids"].shape[1]
        labels = inputs["input_ids"].clone()
        labels[:, :start] = -100
        with torch.no_grad():
            without = own_loss(tuned.model, inputs, labels)
        assert row["instruction_relevance_score"] == pytest.approx(float(expected / without), abs=1e-5)


def test_gradients(tuned: LoadedVlm, samples: list[InstructedImage], images: list[Image.Image]) -> None:
    found: dict[str, torch.Tensor] = {}
    encoded = [encode(tuned, sample, image) for sample, image in zip(samples, images, strict=True)]
    per_sample_gradients(tuned, encoded, lambda name, gradients: found.__setitem__(name, gradients.clone()))
    matrices = attention_lora_matrices(tuned)
    weights = [matrix.weight.requires_grad_(True) for matrix in matrices.values()]
    for row, loss in enumerate(own_losses(tuned, samples, images)):
        expected = torch.autograd.grad(loss, weights)
        largest = max(float(gradient.abs().max()) for gradient in expected)
        for name, gradient in zip(matrices, expected, strict=True):
            torch.testing.assert_close(found[name][row], gradient.flatten(), rtol=2e-3, atol=2e-4 * largest, msg=name)
    tuned.model.requires_grad_(False)
    assert largest > 0


def test_activations(tuned: LoadedVlm, samples: list[InstructedImage], images: list[Image.Image]) -> None:
    layers = range(tuned.bare_model.config.get_text_config().num_hidden_layers)
    attention = chosen_attention(tuned, layers)
    encoded = [encode(tuned, sample, image) for sample, image in zip(samples, images, strict=True)]
    found = pooled_activations(tuned, encoded, attention)
    for row, sample, image in zip(found, samples, images, strict=True):
        inputs = own_inputs(tuned, sample.turns, image)
        is_image = inputs["input_ids"][0] == tuned.bare_model.config.image_token_id
        hidden = attention_outputs(tuned, attention, inputs)
        halves = [torch.tanh(of_layer[0][of].mean(dim=0)) for of_layer in hidden for of in (is_image, ~is_image)]
        expected = torch.cat([half / half.norm() for half in halves]) / len(halves) ** 0.5
        torch.testing.assert_close(row, expected, rtol=1e-3, atol=2e-5)


def attention_outputs(vlm: LoadedVlm, attention: list[nn.Module], inputs: dict[str, Any]) -> list[torch.Tensor]:
    outputs: list[torch.Tensor] = []
    hooks = [one.register_forward_hook(lambda _module, _inputs, output: outputs.append(output[0])) for one in attention]
    with torch.no_grad():
        vlm.model(**inputs)
    for hook in hooks:
        hook.remove()
    return outputs


def test_answers(tuned: LoadedVlm, samples: list[InstructedImage], images: list[Image.Image]) -> None:
    prompts = [Prompt(sample.uri, "", sample.turns[:-1], sample.turns[-1].question) for sample in samples]
    answers = generate_answers(
        tuned,
        prompts,
        batch_size=2,
        max_new_tokens=NEW_TOKENS,
        pixel_limit=PIXEL_LIMIT,
        progress=no_progress,
        engine=LocalEngine(),
    )
    for answer, sample, image in zip(answers, samples, images, strict=True):
        inputs = own_inputs(tuned, sample.turns, image, answered=False)
        with torch.no_grad():
            tokens = tuned.model.generate(**inputs, max_new_tokens=NEW_TOKENS)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        assert answer == tuned.processor.tokenizer.decode(new, skip_special_tokens=True).strip()


def test_merged_weights(tuned: LoadedVlm, samples: list[InstructedImage], images: list[Image.Image]) -> None:
    merged = copy.deepcopy(tuned.model).merge_and_unload()
    assert not [name for name, _ in merged.named_modules() if "lora" in name]
    with torch.no_grad():
        expected = [float(loss) for loss in own_losses(tuned, samples, images)]
        for sample, image, loss in zip(samples, images, expected, strict=True):
            inputs, labels = own_inputs(tuned, sample.turns, image), own_labels(tuned, sample.turns, image)
            assert float(own_loss(merged, inputs, labels)) == pytest.approx(loss, abs=1e-4)
