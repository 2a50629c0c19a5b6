import pytest
import torch

from components.models.features.per_sample_gradients import NoLoraError, attention_lora_matrices, per_sample_gradients
from components.models.vlm.collate import collate
from components.models.vlm.labels import NO_LABEL, encode
from components.pool.images import load_image
from tests.components.models.vlm.samples import PIXEL_LIMIT, draw_samples


def encoded_samples(vlm, folder, count):
    samples = draw_samples(folder, count, seed=7)
    return [encode(vlm, sample, load_image(sample.uri, image_sha="", pixel_limit=PIXEL_LIMIT)) for sample in samples]


def collected(vlm, encoded):
    found: dict[str, torch.Tensor] = {}
    per_sample_gradients(vlm, encoded, lambda name, gradients: found.__setitem__(name, gradients.clone()))
    return found


def one_at_a_time(vlm, encoded):
    """Autograd on the weights, one sample after the other, with the loss that transformers computes itself."""
    names = {id(matrix.weight): name for name, matrix in attention_lora_matrices(vlm).items()}
    weights = [parameter for parameter in vlm.model.parameters() if id(parameter) in names]
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in names.values()}
    for sample in encoded:
        batch = collate(vlm, [sample])
        for weight in weights:
            weight.requires_grad_(True)
        loss = vlm.bare_model(**batch).loss
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            rows[names[id(weight)]].append(gradient.flatten())
            weight.requires_grad_(False)
    return {name: torch.stack(gradients) for name, gradients in rows.items()}


def test_a_padded_batch_gives_what_single_samples_give(adapted, tmp_path):
    encoded = encoded_samples(adapted, tmp_path, 5)
    assert len({len(sample.input_ids) for sample in encoded}) > 1, "there must be padding"
    expected, found = one_at_a_time(adapted, encoded), collected(adapted, encoded)
    assert found.keys() == expected.keys()
    for name, gradients in expected.items():
        scale = float(gradients.abs().max())
        assert scale > 0
        torch.testing.assert_close(found[name], gradients, rtol=2e-3, atol=2e-4 * scale, msg=name)


def test_matrices_are_those_of_the_language_models_attention(adapted):
    names = attention_lora_matrices(adapted)
    assert len(names) == 2 * 4 * 2  # two layers, four projections, A and B
    assert not [name for name in names if "vision" in name or "mlp" in name]


def test_no_gradient_of_a_weight_is_kept(adapted, tmp_path):
    collected(adapted, encoded_samples(adapted, tmp_path, 2))
    assert all(parameter.grad is None for parameter in adapted.model.parameters())


def test_only_responses_count(adapted, tmp_path):
    (sample,) = encoded_samples(adapted, tmp_path, 1)
    assert (sample.labels == NO_LABEL).any()
    everything = collected(adapted, [sample])
    other = type(sample)(
        input_ids=sample.input_ids,
        labels=torch.where(torch.arange(len(sample.labels)) > len(sample.labels) - 3, sample.labels, NO_LABEL),
        image=sample.image,
        image_end=sample.image_end,
        first_response=sample.first_response,
        truncated=False,
    )
    assert any(not torch.equal(gradient, everything[name]) for name, gradient in collected(adapted, [other]).items())


def test_a_model_without_lora_is_named(base):
    with pytest.raises(NoLoraError, match="target_modules"):
        attention_lora_matrices(base)
