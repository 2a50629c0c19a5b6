from pathlib import Path

import numpy as np
import pytest
import torch

from components.models.features.activations import activation_width, chosen_attention, pooled_activations
from components.models.vlm.collate import collate
from components.models.vlm.labels import encode
from components.pool.images import load_image
from tests.components.models.training.runs import vlm_parameters
from tests.components.models.vlm.samples import PIXEL_LIMIT, draw_samples


def encoded_samples(vlm, folder, count):
    samples = draw_samples(folder, count, seed=9)
    return [encode(vlm, sample, load_image(sample.uri, image_sha="", pixel_limit=PIXEL_LIMIT)) for sample in samples]


def slowly(vlm, sample, attention):
    """One sample, token by token."""
    outputs = []
    handles = [one.register_forward_hook(lambda _m, _i, output: outputs.append(output[0])) for one in attention]
    batch = collate(vlm, [sample])
    with torch.no_grad():
        vlm.bare_model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
    for handle in handles:
        handle.remove()
    image_token = vlm.bare_model.config.image_token_id
    parts = []
    for hidden in outputs:
        for wanted in (True, False):
            rows = [hidden[0, at] for at, token in enumerate(sample.input_ids) if (int(token) == image_token) == wanted]
            half = np.tanh(np.mean([row.numpy() for row in rows], axis=0))
            parts.append(half / np.linalg.norm(half))
    return np.concatenate(parts) / np.sqrt(2 * len(outputs))


def test_a_padded_batch_gives_what_a_slow_reference_gives(base, tmp_path):
    attention = chosen_attention(base, [0, 1])
    encoded = encoded_samples(base, tmp_path, 4)
    assert len({len(sample.input_ids) for sample in encoded}) > 1, "there must be padding"
    found = pooled_activations(base, encoded, attention).numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    for row, sample in zip(found, encoded, strict=True):
        np.testing.assert_allclose(row, slowly(base, sample, attention), atol=2e-5)


def test_layers_are_laid_out_in_order(base, tmp_path):
    encoded = encoded_samples(base, tmp_path, 2)
    both = pooled_activations(base, encoded, chosen_attention(base, [0, 1]))
    second = pooled_activations(base, encoded, chosen_attention(base, [1]))
    torch.testing.assert_close(both[:, both.shape[1] // 2 :] * 2**0.5, second)


def test_a_layer_that_is_not_there_is_named(base):
    with pytest.raises(ValueError, match=r"layer 7, and .* has layers 0 to 1"):
        chosen_attention(base, [0, 7])


def test_their_width_is_known_from_the_configuration(base, tmp_path):
    layers = [0, 1]
    found = pooled_activations(base, encoded_samples(base, tmp_path, 1), chosen_attention(base, layers))
    assert activation_width(vlm_parameters(Path(base.model.name_or_path)), layers) == found.shape[1]
