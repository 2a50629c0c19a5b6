"""How many tokens the images of a pool take, which follows from their sizes: known before an instruction is bought."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from PIL import Image

from components.models.vlm.image_inputs import size_within_pixels
from components.models.vlm.labels import SampleError, encode_prompt
from components.models.vlm.load import LoadedVlm

Size = tuple[int, int]  # pixels, width and height
ImagesOfSize = Mapping[Size, Sequence[str]]  # where the images of each size are
_ANY_CONTEXT = 2**31
_SHOWN = 3
_MAX_THREADS = 8  # resizing releases the interpreter lock
_LOOKED_AT = 8  # of the images that do not fit, the longest; where these fit so do the others


@dataclass(frozen=True, slots=True)
class UnfitSize:
    """A size of image that the model cannot take.

    Attributes:
        size: in pixels.
        images: of this size.
        example: where one of them is.
        why: how many tokens it takes, or what the processor says.
    """

    size: Size
    images: int
    example: str
    why: str

    @property
    def text(self) -> str:
        """For a message."""
        width, height = self.size
        return f"{width} x {height} pixels: {self.why}, {self.example}"


@dataclass(frozen=True, slots=True)
class ImageFit:
    """What an image and its chat template take of the context.

    Attributes:
        context_length: of the model, in tokens.
        images: of the pool.
        fewest: tokens that one of them takes at least; 0 where there is none.
        most: at most.
        too_long: sizes that leave no token for a question and its response; longest first.
        refused: sizes that the model's processor does not take.
        suggested_max_pixels: a limit under which all of the former fit; None where none is found or needed.
    """

    context_length: int
    images: int
    fewest: int
    most: int
    too_long: tuple[UnfitSize, ...]
    refused: tuple[UnfitSize, ...]
    suggested_max_pixels: int | None

    @property
    def sentence(self) -> str:
        """What an image takes."""
        span = f"{self.fewest:,}" if self.fewest == self.most else f"{self.fewest:,} to {self.most:,}"
        return f"An image takes {span} of the {self.context_length:,} tokens of vlm.context_length."

    @property
    def refusal(self) -> str:
        """Why no instruction should be bought yet, and what to do; empty where all images fit."""
        parts = []
        if self.too_long:
            limit = "" if self.suggested_max_pixels is None else f"set vlm.max_pixels to {self.suggested_max_pixels}, "
            parts.append(
                f"{_count(self.too_long):,} of {self.images:,} images leave no token of vlm.context_length "
                f"{self.context_length} for an instruction ({_listed(self.too_long)}): {limit}raise "
                "vlm.context_length, or leave them out by ingest.pixel_limit or of the source"
            )
        if self.refused:
            parts.append(
                f"{_count(self.refused):,} of {self.images:,} images are refused by the model's processor "
                f"({_listed(self.refused)}): leave them out of the source"
            )
        return "; ".join(parts)


def fit_images(vlm: LoadedVlm, images: ImagesOfSize) -> ImageFit:
    """Encode a blank image of every size with an empty question.

    Args:
        vlm: the model; its weights are not used.
        images: of the pool, by size.
    """
    sizes = sorted(images)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        outcomes = dict(zip(sizes, threads.map(lambda size: _tokens_or_refusal(vlm, size), sizes), strict=True))
    tokens = {size: found for size, found in outcomes.items() if isinstance(found, int)}
    refused = {size: found for size, found in outcomes.items() if isinstance(found, str)}
    too_long = sorted((-taken, size) for size, taken in tokens.items() if taken >= vlm.context_length)
    return ImageFit(
        context_length=vlm.context_length,
        images=sum(len(of_size) for of_size in images.values()),
        fewest=min(tokens.values(), default=0),
        most=max(tokens.values(), default=0),
        too_long=tuple(_unfit(images, size, f"{-taken:,} tokens") for taken, size in too_long),
        refused=tuple(_unfit(images, size, said) for size, said in refused.items()),
        suggested_max_pixels=_suggested(vlm, [size for _, size in too_long[:_LOOKED_AT]]),
    )


def _tokens_or_refusal(vlm: LoadedVlm, size: Size) -> int | str:
    try:
        return prompt_tokens(vlm, size)
    except SampleError as error:
        return error.detail


def _unfit(images: ImagesOfSize, size: Size, why: str) -> UnfitSize:
    return UnfitSize(size, len(images[size]), images[size][0], why)


def prompt_tokens(vlm: LoadedVlm, size: Size) -> int:
    """Tokens of a prompt with an image of this size and an empty question.

    Raises:
        SampleError: the processor refuses such an image.
    """
    # Of the size that it is reduced to: no larger image has to be made.
    image = Image.new("RGB", size_within_pixels(size, vlm.max_pixels))
    return len(encode_prompt(replace(vlm, context_length=_ANY_CONTEXT), (), "", image).input_ids)


def _suggested(vlm: LoadedVlm, sizes: list[Size]) -> int | None:
    """The largest limit in thousands of pixels, found by halving, under which these sizes fit."""

    def fits(thousands: int) -> bool:
        limited = replace(vlm, max_pixels=1000 * thousands)
        return all(prompt_tokens(limited, size) < vlm.context_length for size in sizes)

    if not sizes or not fits(1):
        return None
    good, bad = 1, 1 + max(width * height for width, height in sizes) // 1000
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return 1000 * good


def _count(sizes: Iterable[UnfitSize]) -> int:
    return sum(size.images for size in sizes)


def _listed(sizes: Sequence[UnfitSize]) -> str:
    more = f"; and {len(sizes) - _SHOWN} more sizes" if len(sizes) > _SHOWN else ""
    return "; ".join(size.text for size in sizes[:_SHOWN]) + more
