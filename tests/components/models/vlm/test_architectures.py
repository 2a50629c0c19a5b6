"""Every architecture goes through encode, loss, a tuning step with LoRA, the score and an answer by the same code."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.scoring.instruction_relevance_score import score_samples
from components.models.vlm.collate import collate
from components.models.vlm.generate import Prompt, generate_answers
from components.models.vlm.labels import encode
from components.models.vlm.language_model import language_model_linear_names
from tests.components.models.vlm.samples import PIXEL_LIMIT, draw_samples, load_toy
from tests.components.models.vlm.toy_architectures import EXAMPLES


@pytest.mark.parametrize("architecture", EXAMPLES)
def test_tune_score_and_generate(architecture: str, toy_vlm: Callable[[str], Path], tmp_path: Path) -> None:
    base = load_toy(toy_vlm(architecture))
    samples = draw_samples(tmp_path, 4, seed=31)
    adapted = get_peft_model(base.model, LoraConfig(r=4, target_modules=language_model_linear_names(base.model)))
    vlm = replace(base, model=adapted)
    batch = collate(vlm, [encode(vlm, sample, Image.open(sample.uri).convert("RGB")) for sample in samples])
    trained = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    before = score_samples(
        vlm, samples, batch_size=2, pixel_limit=PIXEL_LIMIT, progress=no_progress, engine=LocalEngine()
    )

    optimiser = torch.optim.AdamW(trained.values(), lr=0.01)
    losses = []
    for _ in range(4):
        loss = adapted(**batch).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]

    after = score_samples(
        vlm, samples, batch_size=2, pixel_limit=PIXEL_LIMIT, progress=no_progress, engine=LocalEngine()
    )
    assert after.scores.num_rows == len(samples)
    assert after.dropped == ()
    for old, new in zip(before.scores.to_pylist(), after.scores.to_pylist(), strict=True):
        assert new["loss_with_question"] < old["loss_with_question"]
    prompts = [Prompt(sample.uri, "", (), sample.turns[0].question) for sample in samples]
    answers = generate_answers(
        vlm,
        prompts,
        batch_size=2,
        max_new_tokens=3,
        pixel_limit=PIXEL_LIMIT,
        progress=no_progress,
        engine=LocalEngine(),
    )
    assert len(answers) == len(samples)
