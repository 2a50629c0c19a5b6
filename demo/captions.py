"""What the tiny VLM is taught before any demo task: captions, tell-me sentences and claims about drawn scenes."""

from dataclasses import dataclass

import numpy as np

from demo.drawing import IMAGE_SIDE, SHAPES, Scene
from demo.scenes import (
    COLOR_NAMES,
    chart_scene,
    counting_scene,
    items_scene,
    pick,
    pick_several,
    plural,
    random_looks,
    random_text,
    random_values,
    sign_scene,
    spoil,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt and its response."""

    prompt: str
    response: str


def pretraining_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene of any kind from a distribution broader than the demo pool's."""
    kind = rng.random()
    if kind < 0.48:
        scene = items_scene(rng, random_looks(rng, int(rng.choice([1, 2, 3, 4], p=[0.2, 0.42, 0.22, 0.16]))))
    elif kind < 0.62:
        shapes = pick_several(rng, SHAPES, int(rng.integers(1, 3)))
        scene = counting_scene(rng, {shape: int(rng.integers(1, 7)) for shape in shapes})
    elif kind < 0.86:
        scene = sign_scene(rng, random_text(rng, int(rng.integers(1, 4))))
    else:
        scene = chart_scene(rng, random_values(rng, int(rng.integers(2, 5))))
    return spoil(rng, scene) if rng.random() < 0.02 else scene


def place_name(x: float, y: float) -> str:
    """Name the part of the image a point lies in, on a 3 x 3 grid."""
    column = ("left", "", "right")[min(2, int(3 * x / IMAGE_SIDE))]
    row = ("top", "", "bottom")[min(2, int(3 * y / IMAGE_SIDE))]
    return f"{row} {column}".strip() or "middle"


def caption(scene: Scene) -> str:
    """Describe everything in a scene, from left to right."""
    if scene.sign is not None:
        return f'the text "{scene.sign.text}" in {scene.sign.color}, {place_name(scene.sign.x, scene.sign.y)}.'
    if scene.bars:
        tallest = max(scene.bars, key=lambda bar: bar.value)
        heights = ", ".join(f"{bar.color} {bar.value}" for bar in scene.bars)
        return f"{len(scene.bars)} bars: {heights}. highest {tallest.color}."
    groups = _groups(scene)
    if max(groups.values()) > 1:
        return "; ".join(_counted(count, f"{color} {shape}") for (shape, color), count in groups.items()) + "."
    items = sorted(scene.items, key=lambda item: item.x)
    return "; ".join(f"{item.color} {item.shape} {place_name(item.x, item.y)}" for item in items) + "."


def _groups(scene: Scene) -> dict[tuple[str, str], int]:
    groups: dict[tuple[str, str], int] = {}
    for item in scene.items:
        groups[item.shape, item.color] = groups.get((item.shape, item.color), 0) + 1
    return groups


def _counted(count: int, color_and_shape: str) -> str:
    return f"{count} {color_and_shape if count == 1 else plural(color_and_shape)}"


def turns_about(rng: np.random.Generator, scene: Scene, count: int) -> list[Turn]:
    """Write `count` turns about a scene, each of a random kind that fits it."""
    return [_turn(rng, scene) for _ in range(count)]


def _turn(rng: np.random.Generator, scene: Scene) -> Turn:
    if rng.random() < 0.25:
        return Turn(pick(rng, ("Describe the image.", "Caption:", "Describe.", "Write a caption.")), caption(scene))
    if scene.sign is not None:
        return _sign_turn(rng, scene)
    if scene.bars:
        return _chart_turn(rng, scene)
    if max(_groups(scene).values()) > 1 or rng.random() < 0.12:
        return _count_turn(rng, scene)
    if len(scene.items) > 1 and rng.random() < 0.5:
        return _relation_turn(rng, scene)
    return _item_turn(rng, scene)


def _sign_turn(rng: np.random.Generator, scene: Scene) -> Turn:
    assert scene.sign is not None
    text = scene.sign.text
    if rng.random() < 0.3:
        position = int(rng.integers(len(text)))
        return Turn(f"Tell about letter {position + 1}.", f'letter {position + 1} is "{text[position]}".')
    return Turn(pick(rng, ("Tell about the text.", "Spell it.")), f'it has {len(text)} letters: "{text}".')


def _chart_turn(rng: np.random.Generator, scene: Scene) -> Turn:
    kind = rng.random()
    if kind < 0.5:
        bar = scene.bars[int(rng.integers(len(scene.bars)))]
        return Turn(f"Tell about the {bar.color} bar.", f"the {bar.color} bar reaches {bar.value}.")
    if kind < 0.7:
        tallest = max(scene.bars, key=lambda bar: bar.value)
        return Turn("Tell about the bars.", f"the {tallest.color} bar is highest, with {tallest.value}.")
    first, second = (scene.bars[int(i)] for i in rng.permutation(len(scene.bars))[:2])
    claim = first.value > second.value
    return Turn(f"Claim: {first.color} is higher than {second.color}.", _verdict(claim))


def _count_turn(rng: np.random.Generator, scene: Scene) -> Turn:
    groups = list(_groups(scene))
    shape, _ = groups[int(rng.integers(len(groups)))]
    if rng.random() < 0.5:
        number = sum(item.shape == shape for item in scene.items)
        return Turn(f"Tell about the {plural(shape)}.", f"{_counted(number, shape)} in the image.")
    total = len(scene.items)
    return Turn("Tell about the number of items.", f"{total} in all.")


def _item_turn(rng: np.random.Generator, scene: Scene) -> Turn:
    item = scene.items[int(rng.integers(len(scene.items)))]
    place = place_name(item.x, item.y)
    kind = rng.random()
    same_shape = sum(other.shape == item.shape for other in scene.items) == 1
    if kind < 0.35 and same_shape:
        return Turn(f"Tell about the {item.shape}.", f"the {item.shape} is {item.color}, {place}.")
    if kind < 0.65:
        return Turn(f"Tell about the {item.color} one.", f"the {item.color} one is a {item.shape}, {place}.")
    return _presence_claim(rng, scene)


def _presence_claim(rng: np.random.Generator, scene: Scene) -> Turn:
    item = scene.items[int(rng.integers(len(scene.items)))]
    shape, color = item.shape, item.color
    if rng.random() < 0.5:
        # Change all of the look, or one half of it, so that the other half alone cannot decide.
        changed = rng.random()
        if changed < 0.7:
            shape = pick(rng, SHAPES)
        if changed > 0.3:
            color = pick(rng, COLOR_NAMES)
    present = any(other.shape == shape and other.color == color for other in scene.items)
    return Turn(f"Claim: a {color} {shape} is here.", _verdict(present))


def _relation_turn(rng: np.random.Generator, scene: Scene) -> Turn:
    first, second = (scene.items[int(i)] for i in rng.permutation(len(scene.items))[:2])
    across = "left of" if first.x < second.x else "right of"
    along = "above" if first.y < second.y else "below"
    one, other = f"{first.color} {first.shape}", f"{second.color} {second.shape}"
    sideways = abs(first.x - second.x) > abs(first.y - second.y)
    if rng.random() < 0.35:
        words = [w for w, gap in ((across, first.x - second.x), (along, first.y - second.y)) if abs(gap) > 5]
        return Turn(f"Tell about the {one} and the {other}.", f"the {one} is {' and '.join(words)} the {other}.")
    truth = across if sideways else along
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    claim = truth if rng.random() < 0.5 else opposite[truth]
    return Turn(f"Claim: {one} {claim} {other}.", _verdict(claim == truth))


def _verdict(holds: bool) -> str:
    return "true." if holds else "false."
