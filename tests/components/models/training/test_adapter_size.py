"""What a tune is said to write is what it writes."""

from components.models.training.adapter_size import adapter_bytes, checkpoint_bytes
from tests.components.models.training.runs import run, tuning_parameters, vlm_parameters


def test_the_adapter_has_the_bytes_that_were_said(toy_llava, eight_samples, tmp_path):
    run(eight_samples, tmp_path, vlm=vlm_parameters(toy_llava), epochs=1)
    (weights,) = tmp_path.rglob("adapter_model.safetensors")
    said = adapter_bytes(vlm_parameters(toy_llava), tuning_parameters())
    assert said <= weights.stat().st_size < said + 50_000, "the rest is names"


def test_checkpoints_hold_the_averages_of_the_optimiser_too(toy_llava):
    vlm, parameters = vlm_parameters(toy_llava), tuning_parameters()
    updates = parameters.batch_size * parameters.gradient_accumulation * parameters.checkpoint_every
    sizes = [checkpoint_bytes(vlm, parameters, samples=round(count * updates), epochs=1) for count in (0.9, 1, 2, 9)]
    one = 3 * adapter_bytes(vlm, parameters)
    assert sizes == [0, one, 2 * one, 2 * one]
