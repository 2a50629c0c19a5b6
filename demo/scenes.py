"""Random scenes of each kind, and the two ways an image is repeated: jitter (near duplicates) and spoiling."""

from dataclasses import replace

import numpy as np

from demo.drawing import (
    BAR_GAP,
    CHARACTERS,
    COLORS,
    IMAGE_SIDE,
    LARGEST_VALUE,
    RGB,
    SHAPES,
    Background,
    Bar,
    Item,
    Scene,
    Sign,
)

COLOR_NAMES = tuple(COLORS)
PATTERNS = ("plain", "gradient", "stripes", "checks")
# Colours closer than this (Euclidean, RGB) would make an item hard to tell from what is behind it.
LEAST_CONTRAST = 100.0


def pick(rng: np.random.Generator, options: tuple[str, ...] | list[str] | str) -> str:
    """Pick one option uniformly."""
    return options[int(rng.integers(len(options)))]


def pick_several(rng: np.random.Generator, options: tuple[str, ...], count: int) -> list[str]:
    """Pick `count` different options uniformly."""
    return [options[int(i)] for i in rng.permutation(len(options))[:count]]


def plural(noun: str) -> str:
    """Plural of a shape's name, with or without a colour in front."""
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def shade(rng: np.random.Generator, color: str, *, spread: int = 14) -> RGB:
    """Return a shade of a named colour: each channel moved by at most `spread` grey levels."""
    moved = np.clip(np.asarray(COLORS[color]) + rng.integers(-spread, spread + 1, 3), 0, 255)
    return int(moved[0]), int(moved[1]), int(moved[2])


def _distance(first: RGB, second: RGB) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))


def random_background(rng: np.random.Generator, avoid: list[RGB], *, plain: bool = False) -> Background:
    """Draw a background that stands apart from the colours in front of it.

    Args:
        rng: Source of randomness.
        avoid: Colours of what is in front.
        plain: Whether only plain and gradient backgrounds are allowed.

    Returns:
        A background whose two colours differ from all of `avoid` where that is possible.
    """
    first, least = (235, 235, 235), -1.0
    for _ in range(12):
        level, tint = int(rng.integers(20, 251)), rng.integers(-28, 29, 3)
        candidate = np.clip(level + tint, 0, 255)
        proposal = (int(candidate[0]), int(candidate[1]), int(candidate[2]))
        gap = min((_distance(proposal, other) for other in avoid), default=255.0)
        if gap > least:
            first, least = proposal, gap
        if least >= LEAST_CONTRAST:
            break
    second_channels = np.clip(np.asarray(first) + rng.integers(-26, 27), 0, 255)
    second = (int(second_channels[0]), int(second_channels[1]), int(second_channels[2]))
    pattern = pick(rng, PATTERNS[:2] if plain else PATTERNS)
    return Background(pattern, first, second, period=int(rng.integers(8, 25)), vertical=bool(rng.integers(2)))


def _finish(rng: np.random.Generator, scene: Scene) -> Scene:
    """Give a scene the mild noise that any camera has."""
    noise = float(rng.uniform(0.0, 9.0))
    return replace(scene, noise=noise, noise_seed=int(rng.integers(2**31)), brightness=float(rng.uniform(0.85, 1.12)))


def _places(rng: np.random.Generator, count: int, radius: float) -> list[tuple[float, float]]:
    """Random centres that keep the items apart, by rejection; the distance asked for shrinks when they do not fit."""
    places: list[tuple[float, float]] = []
    apart = 2.25 * radius
    tries = 0
    while len(places) < count:
        x, y = rng.uniform(radius + 1, IMAGE_SIDE - radius - 1, 2)
        if all((x - a) ** 2 + (y - b) ** 2 >= apart**2 for a, b in places):
            places.append((float(x), float(y)))
        tries += 1
        if tries % 40 == 0:
            apart *= 0.95
    return places


def items_scene(rng: np.random.Generator, looks: list[tuple[str, str]], *, radius: float | None = None) -> Scene:
    """Place one item per (shape, colour) at random.

    Args:
        rng: Source of randomness.
        looks: Shape and colour name of each item.
        radius: Largest radius in pixels; chosen by the number of items when None.

    Returns:
        A scene with the items in the order of `looks`, without overlap.
    """
    largest = {1: 24.0, 2: 14.0, 3: 11.5, 4: 10.5, 5: 9.5}.get(len(looks), 8.0) if radius is None else radius
    size = float(rng.uniform(0.62 if len(looks) == 1 else 0.78, 1.0)) * largest
    items = []
    for (shape, color), (x, y) in zip(looks, _places(rng, len(looks), size), strict=True):
        own = size * float(rng.uniform(0.85, 1.0))
        angle = float(rng.uniform(-18, 18)) if shape in ("triangle", "star") else 0.0
        items.append(Item(shape, color, shade(rng, color), x, y, own, angle))
    background = random_background(rng, [item.rgb for item in items])
    return _finish(rng, Scene(background, items=tuple(items)))


def random_looks(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Pick `count` different (shape, colour) pairs; colours never repeat."""
    colors = pick_several(rng, COLOR_NAMES, count)
    return [(pick(rng, SHAPES), color) for color in colors]


def counting_scene(rng: np.random.Generator, counts: dict[str, int]) -> Scene:
    """Place `counts[shape]` items of each shape, all of a shape in one colour."""
    colors = pick_several(rng, COLOR_NAMES, len(counts))
    looks = [(shape, color) for (shape, count), color in zip(counts.items(), colors, strict=True) for _ in range(count)]
    return items_scene(rng, looks, radius=14.0 if len(looks) == 1 else None)


def random_text(rng: np.random.Generator, length: int) -> str:
    """Pick `length` characters uniformly."""
    return "".join(pick(rng, CHARACTERS) for _ in range(length))


def sign_scene(rng: np.random.Generator, text: str) -> Scene:
    """Draw a text as large as 64 pixels allow, on a plate or straight on the background."""
    color = pick(rng, COLOR_NAMES)
    rgb = shade(rng, color)
    limit = {1: 52.0, 2: 40.0, 3: 29.0}[len(text)]
    size = limit * float(rng.uniform(0.85, 1.0))
    reach = 0.7 * size * len(text) / 2
    x = float(rng.uniform(min(reach + 1, 32), max(IMAGE_SIDE - reach - 1, 32)))
    y = float(rng.uniform(0.45 * size, IMAGE_SIDE - 0.45 * size))
    background = random_background(rng, [rgb])
    plate = random_background(rng, [rgb]).first if rng.random() < 0.4 else None
    sign = Sign(text, color, rgb, x, y, size, weight=int(rng.integers(0, 3)), plate=plate)
    return _finish(rng, Scene(background, sign=sign))


def chart_scene(rng: np.random.Generator, values: list[int], *, colors: list[str] | None = None) -> Scene:
    """Draw a bar chart with one bar per value, colours all different."""
    names = pick_several(rng, COLOR_NAMES, len(values)) if colors is None else colors
    bars = tuple(Bar(name, shade(rng, name), value) for name, value in zip(names, values, strict=True))
    background = random_background(rng, [bar.rgb for bar in bars], plain=True)
    room = IMAGE_SIDE - 6 - BAR_GAP * (len(values) - 1)
    width = room / len(values) * float(rng.uniform(0.7, 0.98))
    slack = IMAGE_SIDE - 6 - BAR_GAP * (len(values) - 1) - width * len(values)
    left = 3 + float(rng.uniform(0, slack))
    return _finish(rng, Scene(background, bars=bars, bar_left=left, bar_width=width, grid=bool(rng.integers(2))))


def random_values(rng: np.random.Generator, count: int) -> list[int]:
    """Pick bar values with a single tallest bar."""
    while True:
        values = [int(v) for v in rng.integers(1, LARGEST_VALUE + 1, count)]
        if values.count(max(values)) == 1:
            return values


def jitter(rng: np.random.Generator, scene: Scene, *, amount: float = 1.0) -> Scene:
    """Repeat a scene the way a second photograph repeats the first: same content, a little moved, other noise.

    Args:
        rng: Source of randomness.
        scene: The scene to repeat.
        amount: 1 moves items by at most 2 pixels; 0 changes the noise alone.

    Returns:
        A scene with the same answers to every question.
    """
    dx, dy = rng.uniform(-2 * amount, 2 * amount, 2)
    items = tuple(
        replace(
            item,
            x=item.x + float(dx),
            y=item.y + float(dy),
            radius=item.radius * (1 + 0.04 * amount * float(rng.uniform(-1, 1))),
        )
        for item in scene.items
    )
    sign = None
    if scene.sign is not None:
        sign = replace(scene.sign, x=scene.sign.x + float(dx) / 2, y=scene.sign.y + float(dy) / 2)
    return replace(
        scene,
        items=items,
        sign=sign,
        bar_left=scene.bar_left + float(dx) / 2,
        noise=max(1.0, scene.noise),
        noise_seed=int(rng.integers(2**31)),
        brightness=scene.brightness * (1 + 0.04 * amount * float(rng.uniform(-1, 1))),
    )


def spoil(rng: np.random.Generator, scene: Scene) -> Scene:
    """Make a bad photograph of a scene: things that nobody asks about stand in front of it, and it is out of focus."""
    clutter = []
    for _ in range(int(rng.integers(5, 10))):
        color = pick(rng, COLOR_NAMES)
        x, y = rng.uniform(0, IMAGE_SIDE, 2)
        clutter.append(
            Item(pick(rng, SHAPES), color, shade(rng, color, spread=40), float(x), float(y), float(rng.uniform(9, 24)))
        )
    return replace(
        scene,
        clutter=tuple(clutter),
        blur=float(rng.uniform(0.0, 2.0)),
        contrast=float(rng.uniform(0.5, 1.3)),
        brightness=float(rng.uniform(0.6, 1.4)),
    )
