"""What a drawn scene is, and how Pillow draws it. A scene holds every choice, so drawing it needs no randomness."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

IMAGE_SIDE = 64

# Everything is drawn at twice the final size and reduced, which smooths the edges.
SCALE = 2

RGB = tuple[int, int, int]

COLORS: dict[str, RGB] = {
    "red": (220, 35, 35),
    "orange": (245, 140, 25),
    "yellow": (245, 225, 50),
    "green": (40, 160, 65),
    "cyan": (60, 205, 215),
    "blue": (40, 75, 215),
    "purple": (130, 55, 170),
    "pink": (245, 135, 190),
    "brown": (120, 75, 40),
    "black": (22, 22, 22),
    "white": (250, 250, 250),
    "gray": (128, 128, 128),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "ring")
# Letters that look like a digit at this size (B and 8, S and 5, ...) are left out.
CHARACTERS = "0123456789AEHKMTXY"
LARGEST_VALUE = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One coloured shape; centre and radius in pixels of the 64-pixel image, angle in degrees."""

    shape: str
    color: str
    rgb: RGB
    x: float
    y: float
    radius: float
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Sign:
    """One line of text, centred at (x, y); size in pixels of the 64-pixel image, plate behind it or not."""

    text: str
    color: str
    rgb: RGB
    x: float
    y: float
    size: float
    weight: int = 0
    plate: RGB | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart; value from 1 to `LARGEST_VALUE`."""

    color: str
    rgb: RGB
    value: int


@dataclass(frozen=True, slots=True)
class Background:
    """What is behind the scene: two colours and a pattern (plain, gradient, stripes, checks)."""

    pattern: str
    first: RGB
    second: RGB
    period: int = 16
    vertical: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that can be seen in one image, and how well.

    `clutter` is drawn over everything else and belongs to no question; noise is in grey levels, blur in pixels.
    """

    background: Background
    items: tuple[Item, ...] = ()
    sign: Sign | None = None
    bars: tuple[Bar, ...] = ()
    bar_left: float = 6.0
    bar_width: float = 10.0
    grid: bool = True
    clutter: tuple[Item, ...] = ()
    noise: float = 0.0
    noise_seed: int = 0
    blur: float = 0.0
    contrast: float = 1.0
    brightness: float = 1.0


BAR_FLOOR = 60.0
BAR_UNIT = 6.75
BAR_GAP = 3.0


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow carries this typeface itself, so the same text looks the same on every machine.
    return ImageFont.load_default(size)


def character_boxes(sign: Sign) -> list[tuple[str, float, float, float, float]]:
    """Where each character of a sign is drawn.

    Args:
        sign: The sign.

    Returns:
        (character, left, top, right, bottom) per character, in pixels of the 64-pixel image.
    """
    font = _font(round(sign.size * SCALE))
    left, top, right, bottom = font.getbbox(sign.text, stroke_width=sign.weight)
    x = sign.x * SCALE - (left + right) / 2
    y = sign.y * SCALE - (top + bottom) / 2
    boxes = []
    for position, character in enumerate(sign.text):
        start = x + font.getlength(sign.text[:position])
        end = x + font.getlength(sign.text[: position + 1])
        boxes.append((character, start / SCALE, (y + top) / SCALE, end / SCALE, (y + bottom) / SCALE))
    return boxes


def bar_box(scene: Scene, position: int) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of a bar, in pixels of the 64-pixel image."""
    left = scene.bar_left + position * (scene.bar_width + BAR_GAP)
    return left, BAR_FLOOR - BAR_UNIT * scene.bars[position].value, left + scene.bar_width, BAR_FLOOR


def draw(scene: Scene) -> Image.Image:
    """Draw a scene.

    Args:
        scene: What to draw.

    Returns:
        An RGB image of 64 x 64 pixels; the same scene always gives the same pixels.
    """
    image = _draw_background(scene.background)
    pen = ImageDraw.Draw(image)
    if scene.bars:
        _draw_bars(pen, scene)
    for item in scene.items:
        _draw_item(pen, item)
    if scene.sign is not None:
        _draw_sign(pen, scene.sign)
    for item in scene.clutter:
        _draw_item(pen, item)
    return _degrade(image.reduce(SCALE), scene)


def _draw_background(background: Background) -> Image.Image:
    side = IMAGE_SIDE * SCALE
    image = Image.new("RGB", (side, side), background.first)
    if background.pattern == "plain":
        return image
    if background.pattern == "gradient":
        ramp = Image.linear_gradient("L").resize((side, side))
        if background.vertical:
            ramp = ramp.transpose(Image.Transpose.ROTATE_90)
        return Image.composite(Image.new("RGB", (side, side), background.second), image, ramp)
    pen = ImageDraw.Draw(image)
    period = background.period
    if background.pattern == "stripes":
        for start in range(0, side, 2 * period):
            box = (start, 0, start + period - 1, side) if background.vertical else (0, start, side, start + period - 1)
            pen.rectangle(box, fill=background.second)
        return image
    if background.pattern == "checks":
        for top in range(0, side, period):
            for left in range((top // period % 2) * period, side, 2 * period):
                pen.rectangle((left, top, left + period - 1, top + period - 1), fill=background.second)
        return image
    raise ValueError(f"unknown background pattern {background.pattern!r}: use plain, gradient, stripes or checks")


def _polygon(item: Item, corners: int, *, inner: float | None = None) -> list[tuple[float, float]]:
    """Corners of a regular polygon, or of a star when `inner` gives the share of the radius of its inner corners."""
    count = corners if inner is None else 2 * corners
    points = []
    for corner in range(count):
        radius = item.radius * (inner if inner is not None and corner % 2 else 1.0)
        angle = math.radians(item.angle - 90 + 360 * corner / count)
        points.append(((item.x + radius * math.cos(angle)) * SCALE, (item.y + radius * math.sin(angle)) * SCALE))
    return points


def _draw_item(pen: ImageDraw.ImageDraw, item: Item) -> None:
    x, y, radius = item.x * SCALE, item.y * SCALE, item.radius * SCALE
    box = (x - radius, y - radius, x + radius, y + radius)
    match item.shape:
        case "circle":
            pen.ellipse(box, fill=item.rgb)
        case "ring":
            pen.ellipse(box, outline=item.rgb, width=max(3, round(radius * 0.38)))
        case "square":
            pen.rectangle((x - 0.85 * radius, y - 0.85 * radius, x + 0.85 * radius, y + 0.85 * radius), fill=item.rgb)
        case "triangle":
            pen.polygon(_polygon(item, 3), fill=item.rgb)
        case "diamond":
            pen.polygon(
                [(x, y - 1.1 * radius), (x + 0.75 * radius, y), (x, y + 1.1 * radius), (x - 0.75 * radius, y)],
                fill=item.rgb,
            )
        case "star":
            pen.polygon(_polygon(item, 5, inner=0.42), fill=item.rgb)
        case "cross":
            arm = 0.34 * radius
            pen.rectangle((x - arm, y - radius, x + arm, y + radius), fill=item.rgb)
            pen.rectangle((x - radius, y - arm, x + radius, y + arm), fill=item.rgb)
        case _:
            raise ValueError(f"unknown shape {item.shape!r}: use one of {', '.join(SHAPES)}")


def _draw_sign(pen: ImageDraw.ImageDraw, sign: Sign) -> None:
    font = _font(round(sign.size * SCALE))
    left, top, right, bottom = font.getbbox(sign.text, stroke_width=sign.weight)
    x = sign.x * SCALE - (left + right) / 2
    y = sign.y * SCALE - (top + bottom) / 2
    if sign.plate is not None:
        margin = 3 * SCALE
        pen.rectangle((x + left - margin, y + top - margin, x + right + margin, y + bottom + margin), fill=sign.plate)
    pen.text((x, y), sign.text, fill=sign.rgb, font=font, stroke_width=sign.weight)


def _draw_bars(pen: ImageDraw.ImageDraw, scene: Scene) -> None:
    base = sum(scene.background.first) / 3
    line = (60, 60, 60) if base > 127 else (200, 200, 200)
    if scene.grid:
        for value in range(2, LARGEST_VALUE + 1, 2):
            y = (BAR_FLOOR - BAR_UNIT * value) * SCALE
            pen.line((4, y, IMAGE_SIDE * SCALE - 4, y), fill=line, width=1)
    for position, bar in enumerate(scene.bars):
        pen.rectangle([edge * SCALE for edge in bar_box(scene, position)], fill=bar.rgb)
    pen.line((4, BAR_FLOOR * SCALE, IMAGE_SIDE * SCALE - 4, BAR_FLOOR * SCALE), fill=line, width=3)


def _degrade(image: Image.Image, scene: Scene) -> Image.Image:
    if scene.contrast != 1.0:
        image = ImageEnhance.Contrast(image).enhance(scene.contrast)
    if scene.brightness != 1.0:
        image = ImageEnhance.Brightness(image).enhance(scene.brightness)
    if scene.blur > 0:
        image = image.filter(ImageFilter.GaussianBlur(scene.blur))
    if scene.noise > 0:
        noise = np.random.default_rng(scene.noise_seed).standard_normal((IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.float32)
        pixels = np.asarray(image, dtype=np.float32) + scene.noise * noise
        image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return image
