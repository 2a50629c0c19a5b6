"""How many tokens the images of a pool take, which follows from their sizes: known before an instruction is bought."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from PIL import Image

from components.models.vlm.image_inputs import size_within_pixels
from components.models.vlm.labels import SampleError, encode_prompt
from components.models.vlm.load import LoadedVlm

Size = tuple[int, int]  # pixels, width and height
_ANY_CONTEXT = 2**31
_SHOWN = 3
_LOOKED_AT = 8  # of the images that do not fit, the longest; where these fit so do the others


@dataclass(frozen=True, slots=True)
class ImageFit:
    """What an image and its chat template take of the context.

    Attributes:
        context_length: of the model, in tokens.
        images: of the pool.
        fewest: tokens that one of them takes at least; 0 where there is none.
        most: at most.
        too_long: sizes that leave no token for a question and its response, with their tokens; longest first.
        refused: sizes that the model's processor does not take, and what it says.
        images_too_long: images of the first kind.
        images_refused: images of the second kind.
        suggested_max_pixels: a limit under which all fit; None where none is found or needed.
    """

    context_length: int
    images: int
    fewest: int
    most: int
    too_long: tuple[tuple[Size, int], ...]
    refused: tuple[tuple[Size, str], ...]
    images_too_long: int
    images_refused: int
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
        if self.images_too_long:
            shown = _listed(
                f"{width} x {height} pixels: {tokens:,} tokens" for (width, height), tokens in self.too_long
            )
            limit = (
                "" if self.suggested_max_pixels is None else f"set vlm.max_pixels to {self.suggested_max_pixels}, or "
            )
            parts.append(
                f"{self.images_too_long:,} of {self.images:,} images leave no token of vlm.context_length "
                f"{self.context_length} for an instruction ({shown}): {limit}raise vlm.context_length, or leave them "
                "out of the source"
            )
        if self.images_refused:
            shown = _listed(f"{width} x {height} pixels: {said}" for (width, height), said in self.refused)
            parts.append(
                f"{self.images_refused:,} of {self.images:,} images are refused by the model's processor ({shown}): "
                "leave them out of the source"
            )
        return "; ".join(parts)


def fit_images(vlm: LoadedVlm, sizes: Mapping[Size, int]) -> ImageFit:
    """Encode a blank image of every size with an empty question.

    Args:
        vlm: the model; its weights are not used.
        sizes: how many images of the pool have each size.
    """
    tokens: dict[Size, int] = {}
    refused: dict[Size, str] = {}
    for size in sorted(sizes):
        try:
            tokens[size] = prompt_tokens(vlm, size)
        except SampleError as error:
            refused[size] = error.detail
    too_long = {size: taken for size, taken in tokens.items() if taken >= vlm.context_length}
    longest_first = sorted(too_long.items(), key=lambda item: (-item[1], item[0]))
    return ImageFit(
        context_length=vlm.context_length,
        images=sum(sizes.values()),
        fewest=min(tokens.values(), default=0),
        most=max(tokens.values(), default=0),
        too_long=tuple(longest_first),
        refused=tuple(refused.items()),
        images_too_long=sum(sizes[size] for size in too_long),
        images_refused=sum(sizes[size] for size in refused),
        suggested_max_pixels=_suggested(vlm, [size for size, _ in longest_first[:_LOOKED_AT]]),
    )


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


def _listed(items: Iterable[str]) -> str:
    every = list(items)
    more = f"; and {len(every) - _SHOWN} more sizes" if len(every) > _SHOWN else ""
    return "; ".join(every[:_SHOWN]) + more
