"""The tokens of an image follow from its size, and a limit of pixels brings them down."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from components.models.vlm.image_fit import prompt_tokens, unfit_sizes
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


def test_tokens_are_those_of_the_prompt(vlm: LoadedVlm) -> None:
    sample = InstructedImage("task/0", "task", "unused", "", (Turn("", "Yes."),))
    for size in ((40, 70), (64, 64), (90, 20)):
        encoded = encode(vlm, sample, noise_image(*size, seed=1))
        assert prompt_tokens(vlm, size) == encoded.first_response


def test_images_that_leave_no_room_are_named_with_a_limit_that_makes_them_fit(large: LoadedVlm) -> None:
    unfit = unfit_sizes(large, {PHOTO, (64, 48), (480, 640)})
    assert unfit.keys() == {PHOTO, (480, 640)}
    said = unfit[PHOTO].detail
    assert not unfit[PHOTO].refused
    assert "an image of 640 x 480 pixels takes 12" in said
    assert "which leaves none of vlm.context_length 512 for an instruction" in said
    found = re.search(r"set vlm.max_pixels to (\d+) or raise vlm.context_length", said)
    assert found is not None
    limit = int(found[1])
    limited = replace(large, max_pixels=limit)
    assert unfit_sizes(limited, {PHOTO, (480, 640)}) == {}
    assert prompt_tokens(limited, PHOTO) > 0.9 * large.context_length, "the limit is not lower than it has to be"
    # What was foreseen is what happens.
    sample = InstructedImage("task/0", "task", "unused", "", (Turn("", "Yes."),))
    with pytest.raises(SampleError, match="image_exceeds_context"):
        encode(large, sample, noise_image(*PHOTO, seed=1))
    assert encode(limited, sample, noise_image(*PHOTO, seed=1)).first_response < large.context_length


def test_what_a_processor_refuses_is_named(loaded: Callable[[str], LoadedVlm]) -> None:
    unfit = unfit_sizes(loaded("qwen2_5_vl"), {(64, 48), (900, 2)})
    assert unfit.keys() == {(900, 2)}
    assert unfit[900, 2].refused
    assert "refuses an image of (900, 2) pixels" in unfit[900, 2].detail


def test_images_that_fit(vlm: LoadedVlm) -> None:
    assert unfit_sizes(vlm, {(64, 48), (30, 70)}) == {}
    assert unfit_sizes(vlm, ()) == {}


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


def test_an_image_that_a_processor_would_make_gigabytes_of_is_refused(loaded: Callable[[str], LoadedVlm]) -> None:
    processor = loaded("llava").processor.image_processor
    saved, processor.size = processor.size, {"shortest_edge": 36}
    try:
        unfit = unfit_sizes(loaded("llava"), {(1, 60_000)})
    finally:
        processor.size = saved
    assert unfit[1, 60_000].refused
    assert "would become 36 x 2160000 before they are cropped" in unfit[1, 60_000].detail
