"""The samples as the model takes them, encoded once where memory allows."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from torch.utils.data import Dataset

from components.models.vlm.labels import EncodedSample, SampleError, encode
from components.models.vlm.load import LoadedVlm
from components.pool.images import ImageError, load_image
from components.pool.samples import Dropped, InstructedImage

CACHE_BYTES = 2 * 2**30  # encoded samples kept in memory; the rest is encoded again in every epoch
_CHUNK = 256  # samples encoded ahead; bounds what waits for its turn
MAX_THREADS = 8  # decoding and resizing release the interpreter lock

logger = logging.getLogger(__name__)


class TrainingData(Dataset[EncodedSample]):
    """Samples that can be encoded, by index.

    Args:
        vlm: the model they are encoded for.
        samples: all of them usable.
        cached: the encoded ones that are kept, by index.
        pixel_limit: pixels above which an image is refused.
    """

    def __init__(
        self,
        vlm: LoadedVlm,
        samples: Sequence[InstructedImage],
        cached: dict[int, EncodedSample],
        *,
        pixel_limit: int,
    ) -> None:
        self.samples = tuple(samples)
        self._vlm = vlm
        self._cached = cached
        self._pixel_limit = pixel_limit

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> EncodedSample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[EncodedSample]:
        """Fetch a batch; torch's loader calls this where it is there."""
        absent = [index for index in indices if index not in self._cached]
        fresh: dict[int, EncodedSample] = {}
        if absent:
            with ThreadPoolExecutor(_threads()) as threads:
                encoded = threads.map(lambda index: _encode(self._vlm, self.samples[index], self._pixel_limit), absent)
                fresh = dict(zip(absent, encoded, strict=True))
        return [fresh[index] if index in fresh else self._cached[index] for index in indices]


@dataclass(frozen=True, slots=True)
class PreparedData:
    """What `prepare_training_data` found.

    Attributes:
        data: the usable samples.
        truncated: how many of them were cut at the context length.
        dropped: the samples left out.
    """

    data: TrainingData
    truncated: int
    dropped: tuple[Dropped, ...]


def prepare_training_data(
    vlm: LoadedVlm, samples: Sequence[InstructedImage], *, pixel_limit: int, cache_bytes: int = CACHE_BYTES
) -> PreparedData:
    """Encode every sample once, so that those which cannot be used are known before training begins.

    Args:
        vlm: the model.
        samples: what is to be trained on.
        pixel_limit: pixels (width x height) above which an image is refused.
        cache_bytes: how much of the result to keep.

    Returns:
        The usable samples, and the others with a reason.

    Raises:
        ValueError: there is no sample, or not one is usable.
    """
    if not samples:
        raise ValueError("there are no samples to tune on; the training set is empty")
    usable: list[InstructedImage] = []
    dropped: list[Dropped] = []
    cached: dict[int, EncodedSample] = {}
    truncated = 0
    free = cache_bytes

    def attempt(sample: InstructedImage) -> EncodedSample | Dropped:
        try:
            return _encode(vlm, sample, pixel_limit)
        except (ImageError, SampleError) as error:
            return Dropped(sample.sample_id, str(error.reason), error.detail)

    with ThreadPoolExecutor(_threads()) as threads:
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            for sample, outcome in zip(chunk, threads.map(attempt, chunk), strict=True):
                if isinstance(outcome, Dropped):
                    dropped.append(outcome)
                    continue
                size = _bytes_of(outcome)
                if size <= free:
                    cached[len(usable)] = outcome
                    free -= size
                usable.append(sample)
                truncated += outcome.truncated
    reasons = dict(Counter(item.reason for item in dropped))
    if not usable:
        raise ValueError(
            f"not one of the {len(samples)} samples can be tuned on: {reasons}; "
            f"the first, {dropped[0].sample_id}: {dropped[0].detail}"
        )
    if dropped or truncated:
        logger.warning("of %d samples %s are dropped, %d truncated", len(samples), reasons, truncated)
    data = TrainingData(vlm, usable, cached, pixel_limit=pixel_limit)
    return PreparedData(data=data, truncated=truncated, dropped=tuple(dropped))


def _encode(vlm: LoadedVlm, sample: InstructedImage, pixel_limit: int) -> EncodedSample:
    image = load_image(sample.uri, image_sha=sample.image_sha, pixel_limit=pixel_limit)
    return encode(vlm, sample, image)


def _bytes_of(encoded: EncodedSample) -> int:
    tensors = [encoded.input_ids, encoded.labels, *encoded.image.tensors.values()]
    return sum(tensor.element_size() * tensor.nelement() for tensor in tensors) + len(encoded.image.expansion)


def _threads() -> int:
    return min(MAX_THREADS, os.cpu_count() or 1)
