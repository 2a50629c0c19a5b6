import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.captions import caption, pretraining_scene, turns_about
from demo.drawing import Background, Item, Scene, Sign, character_boxes, draw
from demo.patch_labels import PATCH_CHARACTERS, PATCH_COLORS, PATCH_KINDS, patch_labels
from demo.questions import DEMO_TASKS, DemoTask
from demo.scenes import jitter, plural, spoil

PLAIN = Background("plain", (255, 255, 255), (255, 255, 255))
RED_SQUARE = Item("square", "red", (220, 35, 35), 20.0, 40.0, 10.0)


def seeds() -> st.SearchStrategy[int]:
    return st.integers(0, 2**31 - 1)


def test_what_is_drawn_is_where_the_scene_says() -> None:
    pixels = np.asarray(draw(Scene(PLAIN, items=(RED_SQUARE,))))
    assert tuple(pixels[40, 20]) == (220, 35, 35)
    assert tuple(pixels[20, 40]) == (255, 255, 255)
    # 17 pixels wide: 0.85 of a radius of 10 to each side.
    assert abs(int((pixels[40, :, 1] < 128).sum()) - 17) <= 1


@given(seeds())
def test_the_same_scene_gives_the_same_pixels(seed: int) -> None:
    scene = pretraining_scene(np.random.default_rng(seed))
    assert draw(scene).tobytes() == draw(scene).tobytes()


@given(seeds())
def test_jitter_keeps_the_content_and_changes_the_bytes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = pretraining_scene(rng)
    again = jitter(rng, scene)
    assert [(item.shape, item.color) for item in again.items] == [(item.shape, item.color) for item in scene.items]
    assert again.bars == scene.bars
    assert (again.sign and again.sign.text) == (scene.sign and scene.sign.text)
    assert draw(again).tobytes() != draw(scene).tobytes()


def test_spoiling_hides_most_of_the_image_and_keeps_what_is_asked() -> None:
    rng = np.random.default_rng(0)
    scene = Scene(PLAIN, items=(RED_SQUARE,))
    sharp = np.asarray(draw(scene), dtype=np.float32)
    changed = []
    for _ in range(20):
        spoiled = spoil(rng, scene)
        assert spoiled.items == scene.items
        changed.append((np.abs(np.asarray(draw(spoiled), dtype=np.float32) - sharp).max(axis=2) > 40).mean())
    assert np.median(changed) > 0.5


@pytest.mark.parametrize(("noun", "expected"), [("circle", "circles"), ("cross", "crosses"), ("red star", "red stars")])
def test_plural(noun: str, expected: str) -> None:
    assert plural(noun) == expected


def test_unknown_shape_and_pattern_are_named() -> None:
    with pytest.raises(ValueError, match="'blob'"):
        draw(Scene(PLAIN, items=(Item("blob", "red", (220, 35, 35), 20.0, 40.0, 10.0),)))
    with pytest.raises(ValueError, match="'tartan'"):
        draw(Scene(Background("tartan", (0, 0, 0), (9, 9, 9))))


@pytest.mark.parametrize("task", DEMO_TASKS, ids=lambda task: task.name)
@given(seed=seeds(), choice=st.integers(0, 1000))
def test_responses_are_true_of_the_scene(task: DemoTask, seed: int, choice: int) -> None:
    rng = np.random.default_rng(seed)
    answer = task.answers[choice % len(task.answers)]
    scene = task.scene(rng, answer)
    for turn in task.ask(rng, scene, answer):
        assert turn.response == truth(task.name, turn.prompt, scene), (turn, scene)


def truth(task: str, prompt: str, scene: Scene) -> str:
    """The right response, found from the question's words alone."""
    words = prompt.rstrip("?.").split()
    if task == "color":
        return next(item.color for item in scene.items if item.shape in words)
    if task == "shape":
        return next((item.shape for item in scene.items if item.color in words), scene.items[0].shape)
    if task == "counting":
        return str(sum(plural(item.shape) in words for item in scene.items))
    if task == "reading":
        assert scene.sign is not None
        return scene.sign.text
    if task == "chart":
        asked = next((bar for bar in scene.bars if bar.color in words), None)
        return str(asked.value) if asked else max(scene.bars, key=lambda bar: bar.value).color
    if task == "existence":
        return "yes" if any(f"{item.color} {item.shape}" in prompt for item in scene.items) else "no"
    first, second = sorted(scene.items, key=lambda item: prompt.index(f"{item.color} {item.shape}"))
    if "left or right" in prompt:
        return "left" if first.x < second.x else "right"
    return "above" if first.y < second.y else "below"


@given(seeds())
def test_pretraining_never_asks_a_demo_question_or_gives_a_demo_response(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = pretraining_scene(rng)
    for turn in turns_about(rng, scene, 4):
        assert "?" not in turn.prompt
        assert not turn.prompt.startswith("Read")
        assert turn.response.endswith((".", '".'))
        assert turn.response not in {"yes.", "no."}


def test_captions() -> None:
    circle = Item("circle", "blue", (40, 75, 215), 50.0, 10.0, 8.0)
    assert caption(Scene(PLAIN, items=(circle, RED_SQUARE))) == "red square left; blue circle top right."
    assert caption(Scene(PLAIN, items=(circle, circle))) == "2 blue circles."


def test_patch_labels_of_one_item() -> None:
    labels = patch_labels(Scene(PLAIN, items=(RED_SQUARE,))).reshape(6, 8, 8)
    kinds, colors, characters, values = labels[:4]
    # Centres 12, 20, 28 across and 36, 44 down lie within 10 pixels of (20, 40).
    expected = np.zeros((8, 8), dtype=bool)
    expected[4:6, 1:4] = True
    assert ((kinds == PATCH_KINDS.index("square")) == expected).all()
    assert ((colors == PATCH_COLORS.index("red")) == expected).all()
    assert not characters.any()
    assert not values.any()
    assert set(labels[4, 2]) == {3}
    assert set(labels[5, :, 2]) == {3}
    assert labels[5, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_patch_labels_read_from_left_to_right() -> None:
    sign = Sign("7K", "black", (0, 0, 0), 32.0, 32.0, 36.0)
    characters = patch_labels(Scene(PLAIN, sign=sign))[2].reshape(8, 8)
    row = [PATCH_CHARACTERS[label] for label in characters[4] if label]
    assert "".join(dict.fromkeys(row)) == "7K"
    (_, _, _, end, _), (_, start, _, _, _) = character_boxes(sign)
    assert end == start
