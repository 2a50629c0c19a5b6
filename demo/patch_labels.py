"""What covers each patch of a drawn image: labels that make the tiny VLM's vision tower learn sooner."""

import numpy as np
from numpy.typing import NDArray

from demo.drawing import (
    CHARACTERS,
    COLORS,
    IMAGE_SIDE,
    LARGEST_VALUE,
    SHAPES,
    Scene,
    bar_box,
    character_boxes,
)

PATCH_SIZE = 8

Labels = NDArray[np.int64]
Box = tuple[float, float, float, float]

# Class 0 always means nothing.
PATCH_KINDS = ("", *SHAPES, "bar", "text")
PATCH_COLORS = ("", *COLORS)
PATCH_CHARACTERS = ("", *CHARACTERS)
PATCH_CLASSES = (
    len(PATCH_KINDS),
    len(PATCH_COLORS),
    len(PATCH_CHARACTERS),
    LARGEST_VALUE + 1,
    *2 * (IMAGE_SIDE // PATCH_SIZE + 1,),
)


def patch_labels(scene: Scene) -> Labels:
    """What covers the centre of each image patch, and where the patch is.

    Without the last two labels the tower forgot where things are: it knew every shape and colour, and no place.

    Args:
        scene: The scene.

    Returns:
        (6, patches) int64, patches in row order: kind, colour, character and bar value, 0 where there is none; then
        the row and the column, counted from 1.
    """
    side = IMAGE_SIDE // PATCH_SIZE
    labels = np.zeros((6, side, side), dtype=np.int64)
    labels[4:] = np.indices((side, side)) + 1
    for item in scene.items:
        box = (item.x - item.radius, item.y - item.radius, item.x + item.radius, item.y + item.radius)
        _cover(labels, box, (PATCH_KINDS.index(item.shape), PATCH_COLORS.index(item.color), 0, 0))
    for position, bar in enumerate(scene.bars):
        left, _, right, bottom = bar_box(scene, position)
        values = (PATCH_KINDS.index("bar"), PATCH_COLORS.index(bar.color), 0, bar.value)
        # The whole column is told the bar's value: the top edge alone is seen by one patch.
        _cover(labels, (left, 0.0, right, bottom), values)
    if scene.sign is not None:
        color = PATCH_COLORS.index(scene.sign.color)
        for character, *edges in character_boxes(scene.sign):
            left, top, right, bottom = edges
            values = (PATCH_KINDS.index("text"), color, PATCH_CHARACTERS.index(character), 0)
            _cover(labels, (left, top, right, bottom), values)
    return labels.reshape(6, side * side)


def _cover(labels: Labels, box: Box, values: tuple[int, int, int, int]) -> None:
    """Write `values` into every patch whose centre lies in the box, at least into the one at the box's centre."""
    side = labels.shape[1]
    left, top, right, bottom = box
    columns = [c for c in range(side) if left <= (c + 0.5) * PATCH_SIZE <= right] or [
        int((left + right) / 2 / PATCH_SIZE)
    ]
    rows = [r for r in range(side) if top <= (r + 0.5) * PATCH_SIZE <= bottom] or [int((top + bottom) / 2 / PATCH_SIZE)]
    for row in rows:
        for column in columns:
            if 0 <= row < side and 0 <= column < side:
                labels[:4, row, column] = values
