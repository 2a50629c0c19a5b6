"""Computing features of samples in length-sorted batches, resumable: what both kinds have in common."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.compute.engine import Answer, Engine, Work
from components.compute.progress import Progress
from components.models.commits import Batch, gather_commits
from components.models.features.feature_store import NORM, sample_features
from components.models.vlm.labels import EncodedSample, SampleError, encode
from components.models.vlm.load import LoadedVlm
from components.models.vlm.source import VlmSource
from components.pool.images import ImageError, load_image
from components.pool.reasons import QuarantineReason
from components.pool.samples import Dropped, InstructedImage

IMAGE_UNREADABLE = "image_unreadable"
TRUNCATED = "truncated"
NO_DIRECTION = "zero_or_not_finite"
_LOG = logging.getLogger(__name__)

# Encoded samples to vectors (n, d) and norms (n,); a row that is zero or not finite is left out.
Compute = Callable[[Sequence[EncodedSample]], tuple[NDArray[np.float32], NDArray[np.float64]]]
# A loaded model to that; an error that it raises is raised before anything is computed.
MakeCompute = Callable[[LoadedVlm], Compute]


@dataclass(frozen=True, slots=True)
class FeatureResult:
    """What extraction did.

    Attributes:
        computed: samples that got features.
        reused: samples that had them.
        dropped: samples without, sorted by sample id.
    """

    computed: int
    reused: int
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class _Model:
    vlm: LoadedVlm
    compute: Compute | None  # None where samples are only encoded


@dataclass(frozen=True, slots=True)
class _EncodedBatch:
    ids: tuple[str, ...]
    encoded: tuple[EncodedSample, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class _ComputedBatch:
    ids: list[str]
    vectors: NDArray[np.float32]  # (n, d)
    norms: NDArray[np.float64]  # (n,)
    dropped: tuple[Dropped, ...]


def extract_features(
    vlm: VlmSource,
    samples: Sequence[InstructedImage],
    directory: Path,
    make_compute: MakeCompute,
    *,
    name: str,
    batch_size: int,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
    advice: str,
) -> FeatureResult:
    """Give every sample its features; those that have them are left alone.

    Args:
        vlm: the model the samples are encoded for.
        samples: with their instructions.
        directory: LanceDB database that belongs to exactly this computation.
        make_compute: importable by name, or `partial` of such.
        name: what is computed.
        batch_size: samples per batch; batches hold samples of similar length.
        pixel_limit: images with more pixels are not opened.
        progress: told how many samples are done.
        engine: where it is computed.
        advice: what a message about a process that died says to do.

    Returns:
        Counts, and the samples left out: unreadable images, conversations that cannot be encoded or that the context
        cuts off, features that are zero or not finite.

    Raises:
        ValueError: not one sample has features.
        RuntimeError: another process writes to the database.
    """
    dropped: list[Dropped] = []
    computed = 0
    store = sample_features(directory)
    with store.writing():
        stored = frozenset(store.names().to_pylist())
        missing = sorted((sample for sample in samples if sample.sample_id not in stored), key=_length)
        reused = len(samples) - len(missing)
        _LOG.info("%d of %d samples lack features", len(missing), len(samples))
        lists = [missing[start : start + batch_size] for start in range(0, len(missing), batch_size)]
        extracting = Work(
            name=name,
            open=partial(_open, vlm),
            load=partial(_load, vlm, make_compute),
            prepare=partial(_encode, pixel_limit=pixel_limit),
            compute=_compute,
            describe=_uri,
            advice=advice,
        )
        found = _taken(engine.compute(lists, extracting), dropped, progress, reused, len(samples))
        for ids, (vectors, norms) in gather_commits(found):
            store.append(ids, vectors.astype(np.float32), {NORM: pa.array(norms.astype(np.float64))})
            computed += len(ids)
    if not computed + reused:
        first = f"; the first, {dropped[0].sample_id}: {dropped[0].reason} ({dropped[0].detail})" if dropped else ""
        raise ValueError(f"not one of {len(samples)} samples has features{first}")
    return FeatureResult(computed, reused, tuple(sorted(dropped, key=lambda item: item.sample_id)))


def _taken(
    answers: Iterator[Answer[InstructedImage, _ComputedBatch]],
    dropped: list[Dropped],
    progress: Progress,
    done: int,
    total: int,
) -> Iterator[Batch]:
    for answer in answers:
        batch = answer.result
        dropped += batch.dropped
        dropped += [
            Dropped(sample.sample_id, str(QuarantineReason.DECODER_DIED), f"{sample.uri}: {why}")
            for sample, why in answer.lost
        ]
        done += len(answer.items) + len(answer.lost)
        if batch.ids:
            yield batch.ids, (batch.vectors, batch.norms)
        progress(done, total)


def _open(source: VlmSource) -> _Model:
    return _Model(source.open(), None)


def _load(source: VlmSource, make_compute: MakeCompute) -> _Model:
    vlm = source.load()
    return _Model(vlm, make_compute(vlm))


def _uri(sample: InstructedImage) -> str:
    return sample.uri


def _compute(model: _Model, batch: _EncodedBatch) -> _ComputedBatch:
    assert model.compute is not None
    if not batch.encoded:
        return _ComputedBatch([], np.empty((0, 0), np.float32), np.empty(0), batch.dropped)
    vectors, norms = model.compute(batch.encoded)  # (n, d), (n,)
    usable = np.isfinite(vectors).all(axis=1) & np.isfinite(norms) & (norms > 0) & vectors.any(axis=1)
    return _ComputedBatch(
        ids=[sample_id for sample_id, fine in zip(batch.ids, usable, strict=True) if fine],
        vectors=vectors[usable],
        norms=norms[usable],
        dropped=batch.dropped
        + tuple(
            Dropped(sample_id, NO_DIRECTION, "its features are zero or not finite")
            for sample_id, fine in zip(batch.ids, usable, strict=True)
            if not fine
        ),
    )


def _encode(model: _Model, samples: Sequence[InstructedImage], *, pixel_limit: int) -> _EncodedBatch:
    vlm = model.vlm
    ids: list[str] = []
    encoded: list[EncodedSample] = []
    dropped: list[Dropped] = []
    for sample in samples:
        try:
            image = load_image(sample.uri, image_sha=sample.image_sha, pixel_limit=pixel_limit)
            one = encode(vlm, sample, image)
        except SampleError as error:
            dropped.append(Dropped(sample.sample_id, error.reason, error.detail))
        except ImageError as error:
            dropped.append(Dropped(sample.sample_id, IMAGE_UNREADABLE, f"{error.reason}: {error.detail}"))
        else:
            if one.truncated:
                detail = f"the sample is longer than vlm.context_length {vlm.context_length}"
                dropped.append(Dropped(sample.sample_id, TRUNCATED, detail))
                continue
            ids.append(sample.sample_id)
            encoded.append(one)
    return _EncodedBatch(tuple(ids), tuple(encoded), tuple(dropped))


def _length(sample: InstructedImage) -> tuple[int, str]:
    return sum(len(turn.question) + len(turn.response) for turn in sample.turns), sample.sample_id
