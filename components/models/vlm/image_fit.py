"""How many tokens an image takes follows from its size: which images a model cannot take is known beforehand."""

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from PIL import Image

from components.models.vlm.image_inputs import size_within_pixels
from components.models.vlm.labels import EncodedSample, SampleError, encode_prompt
from components.models.vlm.load import LoadedVlm

Size = tuple[int, int]  # pixels, width and height
_ANY_CONTEXT = 2**31
_LOOKED_AT = 8  # of the sizes that do not fit, the longest; where these fit so do the others
_MAX_THREADS = 8  # resizing releases the interpreter lock


@dataclass(frozen=True, slots=True)
class UnfitSize:
    """Why images of one size cannot be used.

    Attributes:
        refused: the model's processor does not take them; else they leave no token for an instruction.
        detail: the numbers and what to do, or what the processor says.
    """

    refused: bool
    detail: str


def unfit_sizes(vlm: LoadedVlm, sizes: Collection[Size]) -> dict[Size, UnfitSize]:
    """Encode a blank image of every size with an empty question.

    Args:
        vlm: the model; its weights are not used.
        sizes: of images.

    Returns:
        Those that the model cannot take.
    """
    ordered = sorted(sizes)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        outcomes = dict(zip(ordered, threads.map(lambda size: _tokens_or_refusal(vlm, size), ordered), strict=True))
    too_long = {
        size: found for size, found in outcomes.items() if isinstance(found, int) and found >= vlm.context_length
    }
    limit = _suggested(vlm, sorted(too_long, key=lambda size: -too_long[size])[:_LOOKED_AT])
    advice = (
        "raise vlm.context_length" if limit is None else f"set vlm.max_pixels to {limit} or raise vlm.context_length"
    )
    return {
        size: UnfitSize(refused=True, detail=found)
        if isinstance(found, str)
        else UnfitSize(refused=False, detail=_too_long(size, found, vlm.context_length, advice))
        for size, found in outcomes.items()
        if isinstance(found, str) or size in too_long
    }


def prompt_tokens(vlm: LoadedVlm, size: Size) -> int:
    """Tokens of a prompt with an image of this size and an empty question.

    Raises:
        SampleError: the processor refuses such an image.
    """
    return len(an_image_encoded(vlm, size).input_ids)


def an_image_encoded(vlm: LoadedVlm, size: Size) -> EncodedSample:
    """A prompt with an image of this size and an empty question, whatever the context.

    Raises:
        SampleError: the processor refuses such an image.
    """
    # Of the size that it is reduced to: no larger image has to be made.
    image = Image.new("RGB", size_within_pixels(size, vlm.max_pixels))
    return encode_prompt(replace(vlm, context_length=_ANY_CONTEXT), (), "", image)


def _tokens_or_refusal(vlm: LoadedVlm, size: Size) -> int | str:
    try:
        return prompt_tokens(vlm, size)
    except SampleError as error:
        return error.detail


def _too_long(size: Size, tokens: int, context_length: int, advice: str) -> str:
    width, height = size
    return (
        f"an image of {width} x {height} pixels takes {tokens} tokens, which leaves none of vlm.context_length "
        f"{context_length} for an instruction: {advice}"
    )


def _suggested(vlm: LoadedVlm, sizes: list[Size]) -> int | None:
    """The largest limit in thousands of pixels, found by halving, under which these sizes fit."""

    def fits(thousands: int) -> bool:
        limited = replace(vlm, max_pixels=1000 * thousands)
        found = [_tokens_or_refusal(limited, size) for size in sizes]
        return all(isinstance(tokens, int) and tokens < vlm.context_length for tokens in found)

    if not sizes or not fits(1):
        return None
    good, bad = 1, 1 + max(width * height for width, height in sizes) // 1000
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return 1000 * good
