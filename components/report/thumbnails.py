"""Small pictures inside the page."""

import base64
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

ImageLoader = Callable[[str, str], Image.Image]

_EDGES = ((200, 128, 82), (600, 96, 78), (1500, 72, 70))  # (up to this many pictures, pixels, JPEG quality)
_SMALLEST = (48, 60)  # for more pictures than that

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a `data:` URI, or empty where it could not be opened; then `problem` says why."""

    data_uri: str
    problem: str


@dataclass(frozen=True, slots=True)
class ThumbnailFormat:
    """The size and quality that keep all of a page's pictures small together.

    Attributes:
        edge: longer edge, pixels.
        quality: JPEG quality.
    """

    edge: int
    quality: int


def thumbnail_format(pictures: int) -> ThumbnailFormat:
    """The format for a page with that many pictures: the more there are, the smaller they get."""
    for limit, edge, quality in _EDGES:
        if pictures <= limit:
            return ThumbnailFormat(edge, quality)
    return ThumbnailFormat(*_SMALLEST)


def make_thumbnail(uri: str, image_sha: str, *, image_loader: ImageLoader, size: ThumbnailFormat) -> Thumbnail:
    """Open an image and encode it as a small JPEG; smaller images are not enlarged.

    An image that cannot be opened (`OSError`, or the `ValueError` of `components.pool.images`) becomes an empty
    frame with the reason: the report is about a run that is over and still worth reading.
    """
    try:
        image = image_loader(uri, image_sha)
    except (OSError, ValueError) as error:
        logger.warning("no picture of %s in the report: %s", uri, error)
        return Thumbnail("", str(error))
    small = image.convert("RGB")
    small.thumbnail((size.edge, size.edge), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=size.quality, optimize=True)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), "")
