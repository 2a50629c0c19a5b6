"""Ingest: from sources to a table of images, a table of samples and a quarantine with reasons."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.compute.engine import Engine
from components.compute.progress import Progress
from components.parameters.parameters import IngestParameters, SourceParameters
from components.pool.account import count_records
from components.pool.image_check import ImageFacts
from components.pool.manifest import IngestResult
from components.pool.near_duplicates import find_near_duplicates
from components.pool.reasons import QuarantineReason, count_reasons
from components.pool.records import PoolRecord, RejectedRecord, SourceError, reject
from components.pool.samples import sample_identity
from components.pool.sources import read_pool
from components.pool.validate import BadImage, ImageKey, image_key, validate_images
from components.schemas import IMAGES, QUARANTINE, SAMPLES

_log = logging.getLogger(__name__)

# A perceptual hash says which frequencies are above their median, so 32 bits are set. An image of one colour has
# next to none: its hash is that of every other such image, whatever the colour, and says nothing.
_LEAST_BITS_SET = 8

Size = tuple[int, int]  # pixels, width and height

_Entry = PoolRecord | RejectedRecord


@dataclass(frozen=True, slots=True)
class _Sample:
    facts: ImageFacts
    records: list[PoolRecord]
    near_duplicate_of: ImageFacts | None = None


_Samples = dict[tuple[str, str], _Sample]  # by task and image_sha, in the order in which records name them


def ingest(
    sources: Sequence[SourceParameters],
    options: IngestParameters,
    *,
    known_images: Path,
    progress: Progress,
    engine: Engine,
    processes: int | None = None,
    out_of_place: Callable[[Collection[Size]], Mapping[Size, BadImage]] | None = None,
) -> IngestResult:
    """Read the sources, check every image once and settle what is a sample.

    Several records of one file in one task make one sample. Another file with the same bytes in that task is a
    `duplicate`; the same bytes in another task are another sample. The first record in source order has
    precedence. The result is the same whatever the number of processes and whatever was known before.

    Args:
        sources: where records are listed.
        options: limits, near duplicates.
        known_images: file with the images found good before, kept between runs.
        progress: called with the images checked.
        engine: where images are read.
        processes: of this machine that share the work; 0 is in line, None as many as it is worth.
        out_of_place: says which sizes of good images are of no use to the model that is tuned, and why; None: all are.

    Raises:
        SourceError: a whole source cannot be read, or no sample is left.
        WorkerDiedError: a worker process died.
    """
    entries = read_pool(sources)
    records = [entry for entry in entries if isinstance(entry, PoolRecord)]
    images = validate_images(
        records, options, known_images=known_images, progress=progress, engine=engine, processes=processes
    )
    checked = images.found if out_of_place is None else _without(images.found, out_of_place)
    samples: _Samples = {}
    settled: list[_Entry] = [_settle(entry, checked, samples) for entry in entries]
    if options.near_duplicate_bits >= 0:
        samples = _mark_near_duplicates(samples, options.near_duplicate_bits)
        if not options.keep_near_duplicates:
            settled = [_reject_near_duplicate(entry, checked, samples) for entry in settled]
            samples = {key: sample for key, sample in samples.items() if sample.near_duplicate_of is None}
    quarantine = _quarantine_table(settled)
    _report(settled, quarantine, samples)
    records_table = count_records(settled, [sample.records[0].source for sample in samples.values()])
    return IngestResult(_images_table(samples), _samples_table(samples), quarantine, records_table, images.read)


def _without(
    found: Mapping[ImageKey, ImageFacts | BadImage],
    out_of_place: Callable[[Collection[Size]], Mapping[Size, BadImage]],
) -> dict[ImageKey, ImageFacts | BadImage]:
    """What was found, with images of a size that is out of place as bad ones."""
    sizes = {(facts.width, facts.height) for facts in found.values() if isinstance(facts, ImageFacts)}
    bad = out_of_place(sizes)
    return {
        key: bad.get((facts.width, facts.height), facts) if isinstance(facts, ImageFacts) else facts
        for key, facts in found.items()
    }


def _settle(entry: _Entry, checked: Mapping[ImageKey, ImageFacts | BadImage], samples: _Samples) -> _Entry:
    if isinstance(entry, RejectedRecord):
        return entry
    facts = checked[image_key(entry)]
    if isinstance(facts, BadImage):
        return reject(entry, facts.reason, facts.detail)
    sample = samples.setdefault((entry.task, facts.image_sha), _Sample(facts, []))
    if sample.facts.uri != facts.uri:
        detail = f"same bytes as {sample.facts.uri}, which is kept for task {entry.task!r}"
        return reject(entry, QuarantineReason.DUPLICATE, detail)
    sample.records.append(entry)
    return entry


def _mark_near_duplicates(samples: _Samples, bits: int) -> _Samples:
    keys_of_task: dict[str, list[tuple[str, str]]] = {}
    for key, sample in samples.items():
        if int(sample.facts.perceptual_hash, 16).bit_count() < _LEAST_BITS_SET:
            continue
        keys_of_task.setdefault(key[0], []).append(key)
    marked = dict(samples)
    for keys in keys_of_task.values():
        hashes = np.array([int(samples[key].facts.perceptual_hash, 16) for key in keys], dtype=np.uint64)
        for key, leader in zip(keys, find_near_duplicates(hashes, bits=bits).tolist(), strict=True):
            if leader >= 0:
                kept = samples[keys[leader]].facts
                marked[key] = _Sample(samples[key].facts, samples[key].records, near_duplicate_of=kept)
    return marked


def _reject_near_duplicate(
    entry: _Entry, checked: Mapping[ImageKey, ImageFacts | BadImage], samples: _Samples
) -> _Entry:
    if isinstance(entry, RejectedRecord):
        return entry
    facts = checked[image_key(entry)]
    assert isinstance(facts, ImageFacts)  # others were rejected before
    kept = samples[entry.task, facts.image_sha].near_duplicate_of
    if kept is None:
        return entry
    distance = (int(facts.perceptual_hash, 16) ^ int(kept.perceptual_hash, 16)).bit_count()
    detail = f"perceptual hash {distance} of 64 bits from {kept.uri}, which is kept for task {entry.task!r}"
    return reject(entry, QuarantineReason.NEAR_DUPLICATE, detail)


def _images_table(samples: _Samples) -> pa.Table:
    facts = {sample.facts.image_sha: sample.facts for sample in reversed(samples.values())}
    return pa.Table.from_pylist([asdict(facts[sha]) for sha in sorted(facts)], schema=IMAGES)


def _samples_table(samples: _Samples) -> pa.Table:
    rows = []
    for (task, image_sha), sample in samples.items():
        near = sample.near_duplicate_of
        rows.append(
            {
                "sample_id": sample_identity(task, image_sha),
                "task": task,
                "image_sha": image_sha,
                "uri": sample.facts.uri,
                "source": sample.records[0].source,
                "record_ids": list(dict.fromkeys(record.record_id for record in sample.records)),
                "near_duplicate_of": "" if near is None else near.image_sha,
            }
        )
    rows.sort(key=lambda row: str(row["sample_id"]))
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def _quarantine_table(entries: Sequence[_Entry]) -> pa.Table:
    rows = [asdict(entry) for entry in entries if isinstance(entry, RejectedRecord)]
    return pa.Table.from_pylist(rows, schema=QUARANTINE)


def _report(entries: Sequence[_Entry], quarantine: pa.Table, samples: _Samples) -> None:
    counts = ", ".join(f"{item.count} {item.reason}" for item in count_reasons(quarantine))
    if not samples:
        first = quarantine.slice(0, 1).to_pylist()[0]
        raise SourceError(
            f"none of the {len(entries)} records is usable ({counts}); the first: {first['source']}: "
            f"{first['detail']}; correct sources (path, image_root, task) or the files"
        )
    usable = Counter(entry.source for entry in entries if isinstance(entry, PoolRecord))
    for source in dict.fromkeys(entry.source for entry in entries):
        if not usable[source]:
            _log.warning("source %s: none of its records is usable", source)
    _log.info("%d samples from %d records; left out: %s", len(samples), len(entries), counts or "none")
