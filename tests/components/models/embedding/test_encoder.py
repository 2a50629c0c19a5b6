import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, CLIPVisionConfig, CLIPVisionModel

from components.models.embedding.encoder import (
    EncoderError,
    check_encoder,
    encode,
    load_encoder,
    load_image_processor,
    preprocess,
)
from components.parameters.parameters import EncoderParameters
from tests.components.models.embedding.conftest import noise_image


def parameters(folder: Path, *, dtype: str = "auto") -> EncoderParameters:
    return EncoderParameters(model=str(folder), revision=None, batch_size=4, device="cpu", dtype=dtype)


def pixels_of(folder: Path, count: int) -> np.ndarray:
    processor = load_image_processor(str(folder), None)
    return np.stack([preprocess(processor, noise_image(seed)) for seed in range(count)])


def test_the_vector_is_the_class_token_after_the_final_norm(encoder_folder: Path):
    images = [noise_image(seed, size=(60, 44)) for seed in range(3)]
    processor = AutoImageProcessor.from_pretrained(encoder_folder, backend="pil")
    model = AutoModel.from_pretrained(encoder_folder).eval()
    with torch.no_grad():
        states = model(**processor(images=images, return_tensors="pt"), output_hidden_states=True)
    expected = model.layernorm(states.hidden_states[-1])[:, 0]

    ours = load_image_processor(str(encoder_folder), None)
    pixels = np.stack([preprocess(ours, image) for image in images])
    vectors = encode(load_encoder(parameters(encoder_folder)), pixels)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 24)
    np.testing.assert_allclose(vectors, expected.detach().numpy(), atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3, "different images have different vectors"


def test_pixels_are_bytes_of_the_crop(plain_encoder_folder: Path):
    pixels = pixels_of(plain_encoder_folder, 1)
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels.dtype == np.uint8


def test_the_batch_does_not_matter(encoder_folder: Path):
    encoder = load_encoder(parameters(encoder_folder))
    pixels = pixels_of(encoder_folder, 5)
    one_by_one = np.concatenate([encode(encoder, pixels[index : index + 1]) for index in range(5)])
    np.testing.assert_allclose(encode(encoder, pixels), one_by_one, atol=1e-5)


def test_bfloat16_is_close_and_comes_back_as_float32(plain_encoder_folder: Path):
    pixels = pixels_of(plain_encoder_folder, 4)
    exact = encode(load_encoder(parameters(plain_encoder_folder, dtype="float32")), pixels)
    rough = encode(load_encoder(parameters(plain_encoder_folder, dtype="bfloat16")), pixels)
    assert rough.dtype == np.float32
    assert not np.array_equal(rough, exact)
    cosine = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.999


def test_a_processor_that_does_not_normalise_is_obeyed(plain_encoder_folder: Path, tmp_path: Path):
    folder = shutil.copytree(plain_encoder_folder, tmp_path / "plain")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["do_normalize"] = False
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    image = noise_image(0)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        expected = AutoModel.from_pretrained(folder)(**processor(images=image, return_tensors="pt"))
    vectors = encode(load_encoder(parameters(folder)), pixels_of(folder, 1))
    np.testing.assert_allclose(vectors, expected.last_hidden_state[:, 0], atol=1e-5)


def test_another_kind_of_model_is_refused(tmp_path: Path):
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    CLIPVisionModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="of type 'clip_vision_model'; allowed: dinov2, dinov2_with_registers"):
        load_encoder(parameters(tmp_path))


def test_a_gpu_that_is_not_there_is_named(plain_encoder_folder: Path):
    wanted = parameters(plain_encoder_folder).model_copy(update={"device": "cuda:99"})
    with pytest.raises(ValueError, match=r"'cuda:99', but torch finds (no|\d+) GPU here"):
        load_encoder(wanted)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_auto_means_bfloat16_on_the_gpu(plain_encoder_folder: Path):
    wanted = parameters(plain_encoder_folder).model_copy(update={"device": "auto"})
    encoder = load_encoder(wanted)
    assert encoder.device.type == "cuda"
    assert encoder.model.dtype == torch.bfloat16
    exact = encode(load_encoder(parameters(plain_encoder_folder)), pixels_of(plain_encoder_folder, 4))
    np.testing.assert_allclose(encode(encoder, pixels_of(plain_encoder_folder, 4)), exact, atol=0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_two_streams_at_once_give_what_one_gives(plain_encoder_folder: Path):
    encoder = load_encoder(parameters(plain_encoder_folder).model_copy(update={"device": "cuda"}))
    pixels = pixels_of(plain_encoder_folder, 8)
    expected = encode(encoder, pixels)
    torch.cuda.synchronize()

    def work(_: int) -> np.ndarray:
        with torch.cuda.stream(torch.cuda.Stream()):
            return encode(encoder, pixels)

    with ThreadPoolExecutor(2) as threads:
        for vectors in threads.map(work, range(20)):
            np.testing.assert_array_equal(vectors, expected)


def test_a_folder_without_a_preprocessor_says_so(plain_encoder_folder: Path, tmp_path: Path):
    folder = shutil.copytree(plain_encoder_folder, tmp_path / "bare")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"encoder\.model .*bare' cannot be loaded"):
        load_image_processor(str(folder), None)


def test_weights_that_an_encoder_lacks_are_not_filled_with_chance(plain_encoder_folder: Path, tmp_path: Path):
    check_encoder(parameters(plain_encoder_folder))
    folder = shutil.copytree(plain_encoder_folder, tmp_path / "lacking")
    weights = load_file(folder / "model.safetensors")
    unused = weights.pop("embeddings.mask_token")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    load_encoder(parameters(folder))  # the token is of no use here
    weights["embeddings.mask_token"] = unused
    (lost, *_) = [name for name in weights if name.startswith("encoder.layer.1.")]
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="its files lack 1 of the weights"):
        load_encoder(parameters(folder))
    with pytest.raises(EncoderError, match="its files hold"):
        check_encoder(parameters(folder))


def test_an_encoder_of_another_type_or_cut_off_is_named_without_its_weights(plain_encoder_folder: Path, tmp_path: Path):
    folder = shutil.copytree(plain_encoder_folder, tmp_path / "other")
    file, config = folder / "model.safetensors", folder / "config.json"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EncoderError, match="is not whole"):
        check_encoder(parameters(folder))
    config.write_text(config.read_text().replace('"dinov2"', '"vit"'))
    with pytest.raises(EncoderError, match="it is of type 'vit'; allowed: dinov2"):
        check_encoder(parameters(folder))
    config.unlink()
    with pytest.raises(EncoderError, match="cannot be loaded"):
        check_encoder(parameters(folder))
