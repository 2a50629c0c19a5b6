"""Checking all images of the pool in worker processes, reading only what has changed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from components.compute.engine import Engine
from components.compute.processes import decoding_processes
from components.compute.progress import Progress
from components.parameters.parameters import IngestParameters
from components.pool.image_check import CheckOptions, ImageCheck, ImageFacts, ImageTarget, check_images
from components.pool.known_images import KnownImage, read_known_images, write_known_images
from components.pool.reasons import QuarantineReason
from components.pool.records import PoolRecord

_log = logging.getLogger(__name__)

_PIECE = 16  # images sent to a process at a time


@dataclass(frozen=True, slots=True)
class BadImage:
    """Why an image is not usable."""

    reason: QuarantineReason
    detail: str


ImageKey = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CheckedImages:
    """What is known of the images that the records name.

    Attributes:
        found: the facts of the good images and what is wrong with the others.
        read: how many were read, hashed and decoded; the others are unchanged since an earlier run, or unusable.
    """

    found: dict[ImageKey, ImageFacts | BadImage]
    read: int


def image_key(record: PoolRecord) -> ImageKey:
    """What is checked once: a URI, and the roots that it must not leave."""
    return record.uri, record.roots


def validate_images(
    records: Sequence[PoolRecord],
    options: IngestParameters,
    *,
    known_images: Path,
    progress: Progress,
    engine: Engine,
    processes: int | None = None,
) -> CheckedImages:
    """Check each image that the records name, once.

    Args:
        records: the records of the pool.
        options: limits.
        known_images: file of the images found good before; brought up to date, also when this is interrupted.
        progress: called with the images done.
        engine: where they are read.
        processes: of this machine that share the work; 0 is in line, None as many as it is worth.

    Returns:
        What is known of them, and how many had to be read for it.

    Raises:
        WorkerDiedError: a worker process died.
    """
    known = read_known_images(known_images)
    want_hash = options.near_duplicate_bits >= 0
    targets = _targets(records, known, want_hash)
    check = partial(check_images, options=CheckOptions(pixel_limit=options.pixel_limit, perceptual_hash=want_hash))
    found: dict[ImageKey, ImageFacts | BadImage] = {}
    read = 0
    try:
        progress(0, len(targets))
        for answer in engine.prepare(
            [targets[start : start + _PIECE] for start in range(0, len(targets), _PIECE)],
            check,
            name="ingest",
            describe=lambda target: target.uri,
            advice="lower ingest.pixel_limit or let this process use fewer cores",
            processes=decoding_processes(len(targets)) if processes is None else processes,
        ):
            for target, result in zip(answer.items, answer.result, strict=True):
                read += result.facts is not None
                found[target.uri, target.roots] = _settle(target, result, known, options)
            for target, why in answer.lost:
                found[target.uri, target.roots] = BadImage(QuarantineReason.DECODER_DIED, f"{target.name}: {why}")
            progress(len(found), len(targets))
    finally:
        if read:
            write_known_images(known_images, known)
    _log.info("%d images checked, %d of them read, the others unchanged or unusable", len(found), read)
    return CheckedImages(found, read)


def _targets(records: Sequence[PoolRecord], known: dict[str, KnownImage], want_hash: bool) -> list[ImageTarget]:
    targets: dict[ImageKey, ImageTarget] = {}
    for record in records:
        if image_key(record) in targets:
            continue
        entry = known.get(record.uri)
        usable = entry is not None and (bool(entry.facts.perceptual_hash) or not want_hash)
        stamp = entry.stamp if entry is not None and usable else ""
        targets[image_key(record)] = ImageTarget(record.uri, record.roots, record.image, stamp)
    return list(targets.values())


def _settle(
    target: ImageTarget, result: ImageCheck, known: dict[str, KnownImage], options: IngestParameters
) -> ImageFacts | BadImage:
    if result.reason is not None:
        return BadImage(result.reason, result.detail)
    facts = result.facts
    if facts is None:
        assert result.unchanged
        facts = known[target.uri].facts
    elif result.stamp is not None:
        known[target.uri] = KnownImage(stamp=result.stamp, facts=facts)
    pixels = facts.width * facts.height
    if pixels > options.pixel_limit:  # an image known from a run with a higher limit
        detail = f"{target.name} has {facts.width} x {facts.height} = {pixels} pixels; ingest.pixel_limit is "
        return BadImage(QuarantineReason.TOO_LARGE, f"{detail}{options.pixel_limit}")
    return facts if options.near_duplicate_bits >= 0 else replace(facts, perceptual_hash="")
