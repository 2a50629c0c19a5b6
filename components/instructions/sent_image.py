"""An image as it is sent to a model: within the configured size, in a format that endpoints take."""

import base64
import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from components.pool.images import DecodedImage, ImageError, changed_detail, decode_image, read_image_bytes
from components.pool.reasons import QuarantineReason

# What OpenAI-compatible endpoints take; everything else is sent as JPEG.
_MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_JPEG_QUALITY = 90


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


class ImageUnavailableError(ImageError):
    """An image that cannot be sent as things are: its file is not there, or has changed, or is above a limit.

    That is not for good. One whose bytes are right and cannot be decoded raises a plain `ImageError`.
    """


def decode_sent_image(uri: str, *, image_sha: str, pixel_limit: int) -> tuple[bytes, DecodedImage]:
    """Read an image and decode it.

    Args:
        uri: as the manifest holds it.
        image_sha: sha256 of its bytes, hex.
        pixel_limit: pixels above which it is not even decoded.

    Returns:
        The bytes, and what they show.

    Raises:
        ImageUnavailableError: it cannot be had at this moment, or under these parameters.
        ImageError: its bytes are those of the manifest and cannot be decoded.
    """
    try:
        data = read_image_bytes(uri)
    except ImageError as error:
        raise ImageUnavailableError(error.reason, error.detail) from None
    except (OSError, EOFError) as error:
        raise ImageUnavailableError(QuarantineReason.UNREADABLE, f"{uri}: {error}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != image_sha:
        raise ImageUnavailableError(QuarantineReason.CHANGED, changed_detail(uri, found, image_sha))
    try:
        return data, decode_image(io.BytesIO(data), name=uri, pixel_limit=pixel_limit)
    except ImageError as error:
        if error.reason == QuarantineReason.TOO_LARGE:
            raise ImageUnavailableError(error.reason, error.detail) from None
        raise


def prepare_image(uri: str, *, image_sha: str, limit: int, pixel_limit: int) -> SentImage:
    """Read an image and reduce it.

    A file that is small enough, plain and of a common format is sent as it is, byte for byte.

    Args:
        uri: as the manifest holds it.
        image_sha: sha256 of its bytes, hex.
        limit: pixels of the longer side.
        pixel_limit: pixels above which it is not even decoded.

    Raises:
        ImageUnavailableError: see `decode_sent_image`.
        ImageError: see `decode_sent_image`.
    """
    data, decoded = decode_sent_image(uri, image_sha=image_sha, pixel_limit=pixel_limit)
    if decoded.format in _MEDIA_TYPES and max(decoded.image.size) <= limit and decoded.is_plain:
        return SentImage(_MEDIA_TYPES[decoded.format], data, *decoded.image.size)
    reduced = decoded.image.resize(sent_size(*decoded.image.size, limit=limit), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    reduced.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return SentImage(_MEDIA_TYPES["JPEG"], buffer.getvalue(), *reduced.size)
