"""The tokens of an image follow from its size, and a limit of pixels brings them down."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from components.models.vlm.image_fit import fit_images, prompt_tokens
from components.models.vlm.image_inputs import size_within_pixels, within_pixels
from components.models.vlm.labels import SampleError, encode
from components.models.vlm.load import LoadedVlm
from components.pool.samples import InstructedImage, Turn
from tests.components.models.vlm.samples import noise_image

PHOTO = (640, 480)


@pytest.fixture
def large(loaded: Callable[[str], LoadedVlm]) -> Iterator[LoadedVlm]:
    """A model whose processor leaves images as large as they are, as far as a context of 512 tokens is concerned."""
    vlm = loaded("qwen2_5_vl")
    processor = vlm.processor.image_processor
    saved, processor.size = processor.size, {"shortest_edge": 16 * 16, "longest_edge": 4096 * 4096}
    yield vlm
    processor.size = saved


def many(images: int) -> list[str]:
    return [f"{index}.png" for index in range(images)]


def test_tokens_are_those_of_the_prompt(vlm: LoadedVlm) -> None:
    sample = InstructedImage("task/0", "task", "unused", "", (Turn("", "Yes."),))
    for size in ((40, 70), (64, 64), (90, 20)):
        encoded = encode(vlm, sample, noise_image(*size, seed=1))
        assert prompt_tokens(vlm, size) == encoded.first_response


def test_images_that_leave_no_room_are_named_with_a_limit_that_makes_them_fit(large: LoadedVlm) -> None:
    fit = fit_images(large, {PHOTO: many(17), (64, 48): many(12), (480, 640): many(1)})
    assert fit.images == 30
    assert [(one.size, one.images) for one in fit.too_long] == [((480, 640), 1), (PHOTO, 17)]
    assert fit.refused == ()
    assert fit.fewest < 64 < large.context_length <= fit.most
    assert "18 of 30 images leave no token of vlm.context_length 512" in fit.refusal
    assert f"640 x 480 pixels: {fit.most:,} tokens, 0.png" in fit.refusal
    assert fit.suggested_max_pixels is not None
    assert f"set vlm.max_pixels to {fit.suggested_max_pixels}" in fit.refusal
    limited = fit_images(replace(large, max_pixels=fit.suggested_max_pixels), {PHOTO: many(17), (480, 640): many(1)})
    assert limited.refusal == ""
    assert limited.most > 0.9 * large.context_length, "the limit is not lower than it has to be"
    # What was foreseen is what happens.
    sample = InstructedImage("task/0", "task", "unused", "", (Turn("", "Yes."),))
    with pytest.raises(SampleError, match="image_exceeds_context"):
        encode(large, sample, noise_image(*PHOTO, seed=1))
    encoded = encode(replace(large, max_pixels=fit.suggested_max_pixels), sample, noise_image(*PHOTO, seed=1))
    assert encoded.first_response < large.context_length


def test_what_a_processor_refuses_is_named(loaded: Callable[[str], LoadedVlm]) -> None:
    fit = fit_images(loaded("qwen2_5_vl"), {(64, 48): many(2), (900, 2): many(1)})
    assert fit.too_long == ()
    assert "1 of 3 images are refused by the model's processor (900 x 2 pixels: " in fit.refusal


def test_a_pool_that_fits(vlm: LoadedVlm) -> None:
    fit = fit_images(vlm, {(64, 48): many(2), (30, 70): many(1)})
    assert fit.refusal == ""
    assert f"of the {vlm.context_length:,} tokens of vlm.context_length" in fit.sentence
    assert fit_images(vlm, {}).refusal == ""


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (5000, 1), (1, 5000), (2000, 2000)])
def test_a_limit_keeps_the_shape(size: tuple[int, int]) -> None:
    width, height = size_within_pixels(size, 1000)
    assert 0 < width * height <= 1000
    if min(size) > 1:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.05)


def test_a_small_image_is_left_alone() -> None:
    image = noise_image(30, 20, seed=1)
    assert within_pixels(image, 600) is image
    assert within_pixels(image, None) is image
    assert within_pixels(image, 599).size == (29, 19)
