from pathlib import Path

import pytest
import torch

from components.models.training import training_data
from components.models.training.training_data import prepare_training_data
from components.models.vlm.load import load_vlm
from components.pool.images import ImageError
from tests.components.models.training.runs import PIXEL_LIMIT, vlm_parameters
from tests.components.models.vlm.samples import draw_samples


@pytest.fixture(scope="module")
def loaded(toy_llava: Path):
    return load_vlm(vlm_parameters(toy_llava))


def same(first, second) -> bool:
    pixels = zip(first.image.tensors.values(), second.image.tensors.values(), strict=True)
    return torch.equal(first.input_ids, second.input_ids) and all(torch.equal(one, other) for one, other in pixels)


@pytest.mark.parametrize("cache_bytes", [0, 60_000, 10**9])
def test_the_cache_changes_nothing_but_speed(loaded, tmp_path: Path, cache_bytes: int):
    samples = draw_samples(tmp_path, 12, seed=1)
    whole = prepare_training_data(loaded, samples, pixel_limit=PIXEL_LIMIT).data
    data = prepare_training_data(loaded, samples, pixel_limit=PIXEL_LIMIT, cache_bytes=cache_bytes).data
    order = [5, 0, 11, 3, 5]
    fetched = data.__getitems__(order)
    assert len(data) == 12
    assert all(same(sample, whole[index]) for sample, index in zip(fetched, order, strict=True))
    for sample in samples:
        Path(sample.uri).unlink()
    if cache_bytes == 10**9:
        assert same(data[7], whole[7])
    else:
        with pytest.raises(ImageError):
            data.__getitems__(range(12))


def test_many_threads_give_what_one_gives(loaded, tmp_path: Path, monkeypatch):
    samples = draw_samples(tmp_path, 60, seed=2)
    monkeypatch.setattr(training_data, "_threads", lambda: 1)
    one = prepare_training_data(loaded, samples, pixel_limit=PIXEL_LIMIT).data
    monkeypatch.setattr(training_data, "_threads", lambda: 8)
    many = prepare_training_data(loaded, samples, pixel_limit=PIXEL_LIMIT).data
    assert all(same(one[index], many[index]) for index in range(60))
