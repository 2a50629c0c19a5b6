"""Images whose sides differ so much that a processor would make a picture of gigabytes of them."""

from typing import Any

_MOST_PIXELS = 1 << 26  # 192 MiB in RGB; of a processor that makes the shorter side 336: 594 times as long as wide


class ExtremeShapeError(ValueError):
    """An image is too long for its width."""


def check_shape(image_processor: Any, size: tuple[int, int]) -> None:
    """Refuse an image that a processor would enlarge beyond measure before it crops it.

    Processors that bring the shorter side to a length (CLIP's, DINOv2's) set no bound to the longer one.

    Args:
        image_processor: of transformers.
        size: width and height of the image, in pixels.

    Raises:
        ExtremeShapeError: it is such an image.
    """
    target = image_processor.size or {}
    side = target.get("shortest_edge")
    if not image_processor.do_resize or not side or target.get("longest_edge"):
        return
    longer = side * max(size) // min(size)
    if side * longer > _MOST_PIXELS:
        width, height = size
        raise ExtremeShapeError(
            f"{width} x {height} pixels would become {side} x {longer} before they are cropped, and {_MOST_PIXELS} "
            "pixels are the most: crop or leave out the image"
        )
