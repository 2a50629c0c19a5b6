"""Opening images: each becomes an upright RGB image or an `ImageError` with a reason."""

import errno
import io
import logging
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from components.errors import UserError
from components.pool.locations import NotRegularFileError, open_binary, sha256_hex
from components.pool.png_metadata import without_metadata
from components.pool.reasons import QuarantineReason

_log = logging.getLogger(__name__)

# Raster formats that Pillow decodes itself (MPO, a JPEG with several frames, comes under JPEG). Left out on
# purpose: those that run an interpreter (EPS, WMF) and old ones that only a hostile file would use.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
    )
) | {".ppm", ".tif", ".tiff", ".webp"}

_EXIF_ORIENTATION = 0x0112

# The caller's pixel_limit takes the place of Pillow's process-wide limit, which would warn below it or refuse
# what it allows.
Image.MAX_IMAGE_PIXELS = None

# Whatever a decoder raises on bytes it does not understand: Pillow's plugins let these through.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
)


class ImageError(UserError, ValueError):
    """An image that cannot be used.

    Attributes:
        reason: one of `QuarantineReason`, for counting.
        detail: what exactly, for a person.
    """

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(reason, detail)  # what it is made of, so that it can be pickled
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image and what its file says of it.

    Attributes:
        image: RGB, upright.
        format: Pillow's name of what the bytes are.
        mode: Pillow mode as stored.
        is_plain: any program shows the file as this does: it is undamaged, one frame, upright, opaque, RGB or grey.
    """

    image: Image.Image
    format: str
    mode: str
    is_plain: bool


def load_image(uri: str, *, image_sha: str, pixel_limit: int) -> Image.Image:
    """Open one image of the manifest.

    Args:
        uri: as the manifest holds it (`components.pool.locations`).
        image_sha: sha256 of the bytes, hex; "" leaves the check out.
        pixel_limit: pixels (width x height) above which the image is refused before it is decoded.

    Returns:
        The image, RGB, with its EXIF orientation applied; the first frame of an animation.

    Raises:
        ImageError: it cannot be read or decoded, is too large, or its bytes have changed.
    """
    with open_image(uri) as file:
        if image_sha:
            found = sha256_hex(file)
            if found != image_sha:
                raise ImageError(QuarantineReason.CHANGED, changed_detail(uri, found, image_sha))
            file.seek(0)
        return decode_image(file, name=uri, pixel_limit=pixel_limit).image


def changed_detail(uri: str, found: str, image_sha: str) -> str:
    """What to say of an image whose bytes are not those of the manifest."""
    return (
        f"{uri} has sha256 {found}, the manifest says {image_sha}: it was written since ingest read it; run again, "
        "with --refresh where it has kept its size and time"
    )


def read_image_bytes(uri: str) -> bytes:
    """Read an image's bytes as they are stored (local file, fsspec URL or member of a tar shard).

    Raises:
        ImageError: they cannot be read.
    """
    with open_image(uri) as file:
        return file.read()


def open_image(uri: str) -> BinaryIO:
    """Open an image's bytes.

    Raises:
        ImageError: `missing`, `not_a_file`, `unreadable`, or `corrupt` for a member of a tar that was cut off.
    """
    try:
        return open_binary(uri)
    except EOFError as error:
        raise ImageError(QuarantineReason.CORRUPT, f"{uri}: {error}") from None
    except OSError as error:
        raise system_fault(error, uri) from None


def system_fault(error: OSError, uri: str) -> ImageError:
    """The `ImageError` for what the file system says of a URI: `missing`, `not_a_file` or `unreadable`."""
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ENAMETOOLONG:
        # A backslash may be a letter of a name here, so it is never read as a slash.
        windows = "; its path has backslashes, as Windows writes them: write / in the records" if "\\" in uri else ""
        return ImageError(QuarantineReason.MISSING, f"no file {uri}{windows}")
    if isinstance(error, IsADirectoryError):
        return ImageError(QuarantineReason.NOT_A_FILE, f"{uri} is a folder")
    if isinstance(error, NotRegularFileError):
        return ImageError(QuarantineReason.NOT_A_FILE, f"{uri} is a pipe or a device")
    return ImageError(QuarantineReason.UNREADABLE, f"{uri}: {error}")


def decode_image(file: BinaryIO, *, name: str, pixel_limit: int) -> DecodedImage:
    """Decode a file to its end.

    Args:
        file: the bytes, at their start; can be sought in.
        name: name of the file, for messages and to tell a broken image from a file of another type.
        pixel_limit: pixels (width x height) above which the image is refused before it is decoded.

    Raises:
        ImageError: `unsupported`, `corrupt`, `too_large` or `unreadable`.
    """
    try:
        return _decode(file, name, pixel_limit)
    except ImageError as error:
        bare = without_metadata(file) if error.reason == QuarantineReason.CORRUPT else None
        if bare is None:
            raise
        _log.info("%s: its texts or colour profile are unreadable and left out (%s)", name, error.detail)
        return replace(_decode(io.BytesIO(bare), name, pixel_limit), is_plain=False)


def stored_format(data: bytes, *, name: str) -> str:
    """Pillow's name of what bytes are, of all that `decode_image` takes.

    Raises:
        ImageError: none of its formats.
    """
    try:
        return str(_read_header(io.BytesIO(data), name).format)
    except ImageError:
        bare = without_metadata(io.BytesIO(data))
        if bare is None:
            raise
        return str(_read_header(io.BytesIO(bare), name).format)


def _decode(file: BinaryIO, name: str, pixel_limit: int) -> DecodedImage:
    opened = _read_header(file, name)
    width, height = opened.size
    if width * height > pixel_limit:
        raise ImageError(
            QuarantineReason.TOO_LARGE,
            f"{name} has {width} x {height} = {width * height} pixels; ingest.pixel_limit is {pixel_limit}",
        )
    file_format, stored_mode = str(opened.format), opened.mode
    try:
        opened.load()
        is_plain = (
            stored_mode in ("RGB", "L") and not opened.has_transparency_data and getattr(opened, "n_frames", 1) == 1
        )
        is_upright = _turn_upright(opened, name)
        return DecodedImage(to_rgb(opened), format=file_format, mode=stored_mode, is_plain=is_plain and is_upright)
    except _DECODER_ERRORS as error:
        raise _decoder_fault(error, name) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn an image of any Pillow mode into RGB, as a person would see it on white paper.

    16-bit grey is scaled to 8 bits (Pillow's own conversion clips it to white); transparent parts, of a
    palette too, become white. Colour profiles are not applied.
    """
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):
        return _scale_grey(image).convert("RGB")
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    if image.has_transparency_data:
        straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
        white = Image.new("RGBA", straight.size, "white")
        return Image.alpha_composite(white, straight).convert("RGB")
    return image.convert("RGB")


def _read_header(file: BinaryIO, name: str) -> Image.Image:
    try:
        opened = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix and suffix not in SUFFIXES:
            raise ImageError(
                QuarantineReason.UNSUPPORTED,
                f"{name} is none of {', '.join(FORMATS)}; convert it or leave it out",
            ) from None
        raise ImageError(QuarantineReason.CORRUPT, f"{name} has no readable image header") from None
    except _DECODER_ERRORS as error:
        raise _decoder_fault(error, name) from error
    if min(opened.size) < 1:
        raise ImageError(QuarantineReason.CORRUPT, f"{name} has the size {opened.size[0]} x {opened.size[1]}")
    return opened


def _decoder_fault(error: BaseException, name: str) -> ImageError:
    # Only the operating system sets errno; a decoder's OSError is about the bytes.
    from_system = isinstance(error, OSError) and error.errno is not None
    reason = QuarantineReason.UNREADABLE if from_system else QuarantineReason.CORRUPT
    return ImageError(reason, f"{name}: {error or type(error).__name__}")


def _turn_upright(image: Image.Image, name: str) -> bool:
    """Turn an image as its EXIF says; returns whether it says nothing of it."""
    # After load(): Pillow turns TIFF files itself and then drops the tag.
    try:
        is_upright = bool(image.getexif().get(_EXIF_ORIENTATION, 1) == 1)
        ImageOps.exif_transpose(image, in_place=True)
        return is_upright
    except _DECODER_ERRORS as error:
        # As every viewer does: junk in the metadata does not make the picture unusable. What raises comes before
        # the turn (no orientation is read) or after it (the tags without it cannot be written back).
        _log.info("%s: unreadable EXIF (%s)", name, error)
        return False


def _scale_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)  # (height, width)
    if image.mode == "F":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low = min(0.0, float(values.min()))
    high = float(values.max())
    # Modes I and F do not say what white is: the smallest usual full scale that holds the values.
    scales = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    white = next((scale for scale in scales if high <= scale), high)
    scaled = np.rint((values - low) * (255.0 / (white - low)))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled[values == transparent] = 255
    return Image.fromarray(scaled.astype(np.uint8))


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None only for conversions in place
    return converted
