"""The demo's seven tasks: a scene for each, and questions about it with short responses."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo.captions import Turn
from demo.drawing import SHAPES, Item, Scene
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
)

LARGEST_COUNT = 6
OPPOSITES = {"left": "right", "right": "left", "above": "below", "below": "above"}
# Two items closer than this along an axis (pixels) are not asked about along it.
CLEAR_GAP = 10.0


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One task of the demo.

    Attributes:
        name: Name of the task.
        answers: What the first response can be, or the property that benchmarks are balanced over.
        scene: Draws a scene whose first question has the given answer or property.
        ask: Asks about a scene; the last argument is the answer or property the first question is to have.
    """

    name: str
    answers: tuple[str, ...]
    scene: Callable[[np.random.Generator, str], Scene]
    ask: Callable[[np.random.Generator, Scene, str], list[Turn]]


def _look(item: Item) -> str:
    return f"{item.color} {item.shape}"


def _color_scene(rng: np.random.Generator, answer: str) -> Scene:
    shapes = pick_several(rng, SHAPES, int(rng.choice([1, 2], p=[0.6, 0.4])))
    others = [name for name in COLOR_NAMES if name != answer]
    colors = [answer, pick(rng, others)]
    return items_scene(rng, list(zip(shapes, colors, strict=False)))


def _ask_color(rng: np.random.Generator, scene: Scene, answer: str) -> list[Turn]:
    del answer
    patterns = ("What color is the {}?", "What is the color of the {}?", "Which color does the {} have?")
    asked = scene.items if rng.random() < 0.3 else scene.items[:1]
    return [Turn(pick(rng, patterns).format(item.shape), item.color) for item in asked]


def _shape_scene(rng: np.random.Generator, answer: str) -> Scene:
    looks = random_looks(rng, int(rng.choice([1, 2], p=[0.6, 0.4])))
    return items_scene(rng, [(answer, looks[0][1]), *looks[1:]])


def _ask_shape(rng: np.random.Generator, scene: Scene, answer: str) -> list[Turn]:
    del answer
    if len(scene.items) == 1:
        return [
            Turn(
                pick(rng, ("What shape is shown?", "Which shape is this?", "What is the shape of the object?")),
                scene.items[0].shape,
            )
        ]
    patterns = ("What shape is the {} object?", "Which shape has the color {}?", "What is the {} thing?")
    asked = scene.items if rng.random() < 0.3 else scene.items[:1]
    return [Turn(pick(rng, patterns).format(item.color), item.shape) for item in asked]


def _counting_scene(rng: np.random.Generator, answer: str) -> Scene:
    shapes = pick_several(rng, SHAPES, int(rng.choice([1, 2], p=[0.6, 0.4])))
    counts = [int(answer), int(rng.integers(1, 5))]
    return counting_scene(rng, dict(zip(shapes, counts, strict=False)))


def _ask_counting(rng: np.random.Generator, scene: Scene, answer: str) -> list[Turn]:
    del answer
    shapes = list(dict.fromkeys(item.shape for item in scene.items))
    asked = shapes if rng.random() < 0.3 else shapes[:1]
    patterns = ("How many {} are there?", "What is the number of {}?", "How many {} do you see?")
    return [
        Turn(pick(rng, patterns).format(plural(shape)), str(sum(item.shape == shape for item in scene.items)))
        for shape in asked
    ]


def _reading_scene(rng: np.random.Generator, answer: str) -> Scene:
    return sign_scene(rng, random_text(rng, int(answer)))


def _ask_reading(rng: np.random.Generator, scene: Scene, answer: str) -> list[Turn]:
    del answer
    assert scene.sign is not None
    patterns = ("What does the sign say?", "What is written here?", "Which characters can be read?", "Read the sign.")
    return [Turn(pick(rng, patterns), scene.sign.text)]


def _relation_scene(rng: np.random.Generator, answer: str) -> Scene:
    while True:
        scene = items_scene(rng, random_looks(rng, 2))
        if abs(_gap(scene.items[0], scene.items[1], answer)) >= CLEAR_GAP:
            return scene


def _gap(first: Item, second: Item, relation: str) -> float:
    """How far the relation holds between two items, in pixels; negative when its opposite does."""
    across, along = second.x - first.x, second.y - first.y
    return {"left": across, "right": -across, "above": along, "below": -along}[relation]


def _ask_relation(rng: np.random.Generator, scene: Scene, answer: str) -> list[Turn]:
    first, second = scene.items
    if _gap(first, second, answer) < 0:
        first, second = second, first
    axis = "left or right of" if answer in ("left", "right") else "above or below"
    patterns = ("Is the {} {} the {}?", "Would you say that the {} is {} the {}?", "Does the {} lie {} the {}?")
    turns = [Turn(pick(rng, patterns).format(_look(first), axis, _look(second)), answer)]
    if rng.random() < 0.2:
        turns.append(Turn(pick(rng, patterns).format(_look(second), axis, _look(first)), OPPOSITES[answer]))
    return turns


def _chart_scene(rng: np.random.Generator, answer: str) -> Scene:
    count = int(rng.integers(2, 5))
    if answer == "tallest":
        return chart_scene(rng, random_values(rng, count))
    while True:
        values = random_values(rng, count)
        if int(answer) in values:
            return chart_scene(rng, values)


def _ask_chart(rng: np.random.Generator, scene: Scene, answer: str) -> list[Turn]:
    if answer == "tallest":
        bar = max(scene.bars, key=lambda candidate: candidate.value)
        return [
            Turn(
                pick(rng, ("Which bar is the tallest?", "What color is the tallest bar?", "Which bar is the highest?")),
                bar.color,
            )
        ]
    bar = next(bar for bar in scene.bars if bar.value == int(answer))
    patterns = ("What is the value of the {} bar?", "How high is the {} bar?", "What does the {} bar show?")
    return [Turn(pick(rng, patterns).format(bar.color), answer)]


def _existence_scene(rng: np.random.Generator, answer: str) -> Scene:
    del answer
    return items_scene(rng, random_looks(rng, int(rng.integers(1, 4))))


def _ask_existence(rng: np.random.Generator, scene: Scene, answer: str) -> list[Turn]:
    patterns = ("Is there {}?", "Does the image contain {}?", "Can you see {}?", "Is {} visible?")
    wanted = [answer, pick(rng, ("yes", "no"))] if rng.random() < 0.25 else [answer]
    return [
        Turn(pick(rng, patterns).format(_article(_asked_look(rng, scene, present == "yes"))), present)
        for present in wanted
    ]


def _article(look: str) -> str:
    return f"an {look}" if look.startswith("o") else f"a {look}"


def _asked_look(rng: np.random.Generator, scene: Scene, present: bool) -> str:
    """A look that is in the scene, or one whose shape and colour are both missing from it."""
    if present:
        return _look(scene.items[int(rng.integers(len(scene.items)))])
    colors = [name for name in COLOR_NAMES if name not in {item.color for item in scene.items}]
    shapes = [name for name in SHAPES if name not in {item.shape for item in scene.items}]
    return f"{pick(rng, colors)} {pick(rng, shapes)}"


DEMO_TASKS: tuple[DemoTask, ...] = (
    DemoTask("color", COLOR_NAMES, _color_scene, _ask_color),
    DemoTask("shape", SHAPES, _shape_scene, _ask_shape),
    DemoTask("counting", tuple(str(n) for n in range(1, LARGEST_COUNT + 1)), _counting_scene, _ask_counting),
    DemoTask("reading", ("1", "2", "3"), _reading_scene, _ask_reading),
    DemoTask("relation", tuple(OPPOSITES), _relation_scene, _ask_relation),
    DemoTask("chart", ("tallest", "1", "2", "3", "4", "5", "6", "7", "8"), _chart_scene, _ask_chart),
    DemoTask("existence", ("yes", "no"), _existence_scene, _ask_existence),
)
