"""An image as it is sent to a model: within the configured size, in a format that endpoints take."""

import base64
import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from components.images import ImageError, decode_image, read_image_bytes
from components.ingest.reasons import QuarantineReason

# What OpenAI-compatible endpoints take; everything else is sent as JPEG.
_MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_JPEG_QUALITY = 90
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class SentImage:
    """Bytes and their type.

    Attributes:
        media_type: such as `image/jpeg`.
        data: the file's bytes.
        width: pixels.
        height: pixels.
    """

    media_type: str
    data: bytes
    width: int
    height: int

    @property
    def data_url(self) -> str:
        """The image as a `data:` URL."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"


def sent_size(width: int, height: int, *, limit: int) -> tuple[int, int]:
    """The size an image is sent at.

    Args:
        width: pixels.
        height: pixels.
        limit: pixels of the longer side.

    Returns:
        Width and height, pixels, at least 1.
    """
    longer = max(width, height)
    if longer <= limit:
        return width, height
    return max(1, round(width * limit / longer)), max(1, round(height * limit / longer))


def prepare_image(uri: str, *, image_sha: str, limit: int, pixel_limit: int) -> SentImage:
    """Read an image and reduce it.

    A file that is small enough, upright and of a common format is sent as it is, byte for byte.

    Args:
        uri: as the manifest holds it.
        image_sha: sha256 of its bytes, hex.
        limit: pixels of the longer side.
        pixel_limit: pixels above which it is not even decoded.

    Raises:
        ImageError: it cannot be read, or is not the image of the manifest any more.
    """
    data = read_image_bytes(uri)
    found = hashlib.sha256(data).hexdigest()
    if found != image_sha:
        raise ImageError(
            QuarantineReason.CHANGED, f"{uri} has sha256 {found}, the manifest says {image_sha}; run ingest again"
        )
    decoded = decode_image(io.BytesIO(data), name=uri, pixel_limit=pixel_limit)
    if decoded.format in _MEDIA_TYPES and max(decoded.image.size) <= limit and _is_plain(data):
        return SentImage(_MEDIA_TYPES[decoded.format], data, *decoded.image.size)
    reduced = decoded.image.resize(sent_size(*decoded.image.size, limit=limit), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    reduced.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return SentImage(_MEDIA_TYPES["JPEG"], buffer.getvalue(), *reduced.size)


def _is_plain(data: bytes) -> bool:
    """Whether the file shows the same everywhere: one frame, no rotation, RGB or grey."""
    with Image.open(io.BytesIO(data)) as image:
        turned = image.getexif().get(_EXIF_ORIENTATION, 1) != 1
        return not turned and getattr(image, "n_frames", 1) == 1 and image.mode in ("RGB", "L")
