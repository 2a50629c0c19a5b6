"""Photographs as far as a decoder can tell: 640 x 480 JPEG with the spectrum and the noise of one."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 640, 480
_QUALITY = 88  # of JPEG: about 155 kB an image, as those of COCO
_DISTINCT = 48  # drawn; the rest are copies of their pixels with bytes of their own
_SENSOR_NOISE = 2.5  # standard deviation, of 255
_FALL = 1.1  # exponent of the fall


def draw_photographs(folder: Path, count: int, *, seed: int, width: int = WIDTH, height: int = HEIGHT) -> list[Path]:
    """Write images of noise whose amplitude falls nearly as 1/f, as photographs' does, with the grain of a sensor.

    Args:
        folder: where they go.
        count: n.
        seed: of the draw.
        width: pixels.
        height: pixels.

    Returns:
        The `n` files, no two of the same bytes; their pixels repeat after 48.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_as_jpeg(_draw(rng, width, height)) for _ in range(min(count, _DISTINCT))]
    paths = []
    for number in range(count):
        start, rest = drawn[number % len(drawn)][:2], drawn[number % len(drawn)][2:]
        comment = f"{number:08d}".encode()
        # A comment (marker FE, then its length with the two bytes that give it) after the marker of the start.
        path = folder / f"{number:08d}.jpg"
        path.write_bytes(start + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + rest)
        paths.append(path)
    return paths


def _draw(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    frequency = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))  # (height, width / 2 + 1)
    frequency[0, 0] = np.inf
    channels = []
    shared = rng.standard_normal((height, width))  # channels of a photograph have most in common
    for _ in range(3):
        white = shared + 0.3 * rng.standard_normal((height, width))
        smooth = np.fft.irfft2(np.fft.rfft2(white) / frequency**_FALL, s=(height, width))
        channels.append(128 + 55 * smooth / smooth.std())
    values = np.stack(channels, axis=2) + _SENSOR_NOISE * rng.standard_normal((height, width, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def _as_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
