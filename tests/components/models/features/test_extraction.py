"""Extraction into the store: resumed, counted, and the same whichever way the samples were batched."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models import commits
from components.models.features.activations import NoSuchLayerError
from components.models.features.extract_activations import extract_activations
from components.models.features.extract_gradients import extract_gradients
from components.models.features.feature_store import (
    NORM,
    read_features,
    read_norms,
    sample_features,
    scan_features,
    stored_samples,
)
from components.models.features.per_sample_gradients import NoLoraError
from components.models.lance_store import MissingVectorsError
from components.models.vlm.source import VlmFiles
from components.pool.samples import Turn
from tests.components.models.features.conftest import with_lora
from tests.components.models.vlm.samples import PIXEL_LIMIT, draw_samples, load_toy, toy_parameters
from tests.shuffled_engine import ShuffledEngine


@pytest.fixture
def vlm(toy_folder):
    return with_lora(load_toy(toy_folder("llava")))


def gradients(vlm, samples, directory, *, batch_size=3, progress=no_progress, engine=None):
    return extract_gradients(
        vlm,
        samples,
        directory,
        dimension=96,
        seed=4,
        batch_size=batch_size,
        pixel_limit=PIXEL_LIMIT,
        progress=progress,
        engine=engine or LocalEngine(),
    )


def activations(vlm, samples, directory, *, layers=(1,), engine=None):
    return extract_activations(
        vlm,
        samples,
        directory,
        layers=layers,
        batch_size=4,
        pixel_limit=PIXEL_LIMIT,
        progress=no_progress,
        engine=engine or LocalEngine(),
    )


def test_batching_does_not_matter(vlm, tmp_path):
    samples = draw_samples(tmp_path, 7, seed=2)
    ids = [sample.sample_id for sample in samples]
    for size in (1, 4):
        result = gradients(vlm, samples, tmp_path / f"by {size}", batch_size=size)
        assert (result.computed, result.reused, result.dropped) == (7, 0, ())
    one, four = (read_features(tmp_path / f"by {size}", ids) for size in (1, 4))
    np.testing.assert_allclose(four, one, rtol=2e-3, atol=1e-4 * np.abs(one).max())
    norms = read_norms(tmp_path / "by 4", ids)
    np.testing.assert_allclose(norms, read_norms(tmp_path / "by 1", ids), rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(four, axis=1), norms, rtol=0.5)


def test_a_stopped_run_is_continued(vlm, tmp_path, monkeypatch):
    monkeypatch.setattr(commits, "SECONDS_BETWEEN_COMMITS", 0.0)
    monkeypatch.setattr(commits, "SHARE_BETWEEN_COMMITS", 0.0)
    samples = draw_samples(tmp_path, 6, seed=2)

    def stop(done, _total):
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gradients(vlm, samples, tmp_path / "store", batch_size=2, progress=stop)
    kept = len(stored_samples(tmp_path / "store"))
    assert 0 < kept < 6
    result = gradients(vlm, samples, tmp_path / "store", batch_size=2)
    assert (result.computed, result.reused) == (6 - kept, kept)
    assert len(stored_samples(tmp_path / "store")) == 6


def test_what_cannot_be_used_is_counted_with_a_reason(vlm, tmp_path):
    good, empty, gone, long = draw_samples(tmp_path, 4, seed=3)
    empty = replace(empty, turns=(Turn("what?", " "),))
    gone = replace(gone, uri=str(tmp_path / "nowhere.png"))
    long = replace(long, turns=(Turn("what?", "red " * 2000),))
    for extract in (gradients, activations):
        result = extract(vlm, [good, empty, gone, long], tmp_path / f"store {id(extract)}")
        assert result.computed == 1
        assert {item.sample_id: item.reason for item in result.dropped} == {
            empty.sample_id: "empty_response",
            gone.sample_id: "image_unreadable",
            long.sample_id: "truncated",
        }


@pytest.mark.parametrize("extract", [gradients, activations])
def test_elsewhere_the_features_are_the_same(extract, vlm, toy_folder, tmp_path):
    vlm.model.save_pretrained(tmp_path / "adapter")
    samples = draw_samples(tmp_path, 7, seed=2)
    good = [sample.sample_id for sample in samples[:-1]]
    samples[-1] = replace(samples[-1], uri=str(tmp_path / "nowhere.png"))
    model = VlmFiles(toy_parameters(toy_folder("llava")), tmp_path / "adapter")
    here = extract(model, samples, tmp_path / "here")
    assert extract(model, samples, tmp_path / "there", engine=ShuffledEngine()) == here
    for read in (read_features, read_norms):
        np.testing.assert_array_equal(read(tmp_path / "there", good), read(tmp_path / "here", good))
    without = extract(model, samples, tmp_path / "lost", engine=ShuffledEngine(lost={samples[0].uri}))
    assert {one.sample_id: one.reason for one in without.dropped} == {
        samples[0].sample_id: "decoder_died",
        samples[-1].sample_id: "image_unreadable",
    }
    assert without.computed == 5


def test_what_a_model_lacks_is_said_before_anything_is_computed(toy_folder, tmp_path):
    samples, model = draw_samples(tmp_path, 2, seed=2), VlmFiles(toy_parameters(toy_folder("llava")))
    for engine in (LocalEngine(), ShuffledEngine()):
        with pytest.raises(NoLoraError, match="no attention layer"):
            gradients(model, samples, tmp_path / "gradients", engine=engine)
        with pytest.raises(NoSuchLayerError, match="layer 99"):
            activations(model, samples, tmp_path / "activations", layers=(99,), engine=engine)


def test_nothing_usable_is_an_error_that_says_why(vlm, tmp_path):
    (sample,) = draw_samples(tmp_path, 1, seed=3)
    with pytest.raises(ValueError, match=r"not one of 1 samples .* empty_response"):
        gradients(vlm, [replace(sample, turns=(Turn("q", ""),))], tmp_path / "store")


def test_the_store_reads_in_the_order_asked(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    ids = [f"t/{number}" for number in range(50)]
    sample_features(tmp_path / "s").append(ids[:20], vectors[:20], {NORM: pa.array(np.arange(20.0))})
    sample_features(tmp_path / "s").append(ids[20:], vectors[20:], {NORM: pa.array(np.arange(20.0, 50.0))})
    order = np.random.default_rng(1).permutation(50)[:30]
    np.testing.assert_array_equal(read_features(tmp_path / "s", [ids[row] for row in order]), vectors[order])
    np.testing.assert_array_equal(read_norms(tmp_path / "s", [ids[row] for row in order]), order.astype(float))
    assert sum(len(block) for _, block in scan_features(tmp_path / "s")) == 50


def test_missing_features_are_named(tmp_path):
    sample_features(tmp_path / "s").append(["a"], np.ones((1, 4), np.float32), {NORM: pa.array([1.0])})
    with pytest.raises(MissingVectorsError, match="'b'"):
        read_features(tmp_path / "s", ["a", "b"])
    with pytest.raises(MissingVectorsError, match="'b'"):
        read_norms(tmp_path / "s", ["b"])
    with pytest.raises(MissingVectorsError, match="'a'"):
        read_features(tmp_path / "empty", ["a"])


def test_a_sample_twice_is_an_error(tmp_path):
    for _ in range(2):
        sample_features(tmp_path / "s").append(["a"], np.ones((1, 4), np.float32), {NORM: pa.array([1.0])})
    with pytest.raises(RuntimeError, match="1 rows are there twice"):
        stored_samples(tmp_path / "s")
