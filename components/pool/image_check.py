"""Checking one image of the pool: inside its root, readable, small enough, decodable to its end."""

from collections.abc import Sequence
from dataclasses import dataclass

import imagehash

from components.pool.images import ImageError, decode_image, open_image, system_fault
from components.pool.locations import file_stamp, leaves_roots, link_advice, sha256_hex
from components.pool.reasons import QuarantineReason


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of a good image: a row of `IMAGES`."""

    image_sha: str
    uri: str
    size_bytes: int
    width: int
    height: int
    format: str
    mode: str
    perceptual_hash: str


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """An image to check.

    Attributes:
        uri: where it is.
        roots: folders that it must not leave; none for a member of a shard.
        name: what it is called, for messages and for its suffix.
        known_stamp: the stamp under which it was found good before; "" when it was not.
    """

    uri: str
    roots: tuple[str, ...]
    name: str
    known_stamp: str


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How images are checked."""

    pixel_limit: int
    perceptual_hash: bool


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """What came out.

    Attributes:
        stamp: of the file as it is now; None when the file system has none.
        unchanged: the stamp is the known one, so that nothing was read.
        facts: of a good image that was read.
        reason: why it is not good, or None.
        detail: the same for a person.
    """

    stamp: str | None = None
    unchanged: bool = False
    facts: ImageFacts | None = None
    reason: QuarantineReason | None = None
    detail: str = ""


def check_images(targets: Sequence[ImageTarget], *, options: CheckOptions) -> list[ImageCheck]:
    """Check images one after the other; one image's bytes are in memory at a time."""
    return [_check(target, options) for target in targets]


def _check(target: ImageTarget, options: CheckOptions) -> ImageCheck:
    try:
        if target.roots:
            _check_place(target)
        stamp = file_stamp(target.uri, with_change_time=True)
        if stamp is not None and stamp == target.known_stamp:
            return ImageCheck(stamp=stamp, unchanged=True)
        return ImageCheck(stamp=stamp, facts=_read_facts(target, options))
    except ImageError as error:
        return ImageCheck(reason=error.reason, detail=error.detail)
    except OSError as error:
        fault = system_fault(error, target.uri)
        return ImageCheck(reason=fault.reason, detail=fault.detail)


def _check_place(target: ImageTarget) -> None:
    real = leaves_roots(target.uri, target.roots)
    if real is not None:
        raise ImageError(
            QuarantineReason.OUTSIDE_ROOT,
            f"{target.name} is a symbolic link out of {target.roots[0]}, or goes through one: "
            f"{link_advice(real, 'sources.further_roots')}",
        )


def _read_facts(target: ImageTarget, options: CheckOptions) -> ImageFacts:
    with open_image(target.uri) as file:
        decoded = decode_image(file, name=target.name, pixel_limit=options.pixel_limit)
        file.seek(0)
        image_sha = sha256_hex(file)
        size_bytes = file.tell()
    return ImageFacts(
        image_sha=image_sha,
        uri=target.uri,
        size_bytes=size_bytes,
        width=decoded.image.width,
        height=decoded.image.height,
        format=decoded.format,
        mode=decoded.mode,
        perceptual_hash=str(imagehash.phash(decoded.image)) if options.perceptual_hash else "",
    )
