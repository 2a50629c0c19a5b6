"""The samples as the model takes them, encoded once where memory allows."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from torch.utils.data import Dataset

from components.models.training import process_group
from components.models.vlm.labels import EncodedSample, SampleError, encode
from components.models.vlm.load import LoadedVlm
from components.pool.images import ImageError, load_image
from components.pool.samples import Dropped, InstructedImage

CACHE_BYTES = 2 * 2**30  # encoded samples kept in memory; the rest is encoded again in every epoch
_CHUNK = 256  # samples encoded ahead; bounds what waits for its turn
MAX_THREADS = 8  # decoding and resizing release the interpreter lock

logger = logging.getLogger(__name__)


class KeptSamples:
    """Encoded samples by index, as many as fit."""

    def __init__(self, free: int) -> None:
        self.samples: dict[int, EncodedSample] = {}
        self.free = free  # bytes

    def add(self, index: int, sample: EncodedSample) -> None:
        """Keep a sample if there is room for it."""
        size = _bytes_of(sample)
        if size <= self.free:
            self.samples[index] = sample
            self.free -= size


class TrainingData(Dataset[EncodedSample]):
    """Samples that can be encoded, by index.

    Args:
        vlm: the model they are encoded for.
        samples: all of them usable.
        kept: encoded ones; what is fetched joins them while there is room.
        pixel_limit: pixels above which an image is refused.
    """

    def __init__(
        self, vlm: LoadedVlm, samples: Sequence[InstructedImage], kept: KeptSamples, *, pixel_limit: int
    ) -> None:
        self.samples = tuple(samples)
        self._vlm = vlm
        self._kept = kept
        self._pixel_limit = pixel_limit

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> EncodedSample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[EncodedSample]:
        """Fetch a batch; torch's loader calls this where it is there."""
        kept = self._kept.samples
        absent = [index for index in dict.fromkeys(indices) if index not in kept]
        fresh: dict[int, EncodedSample] = {}
        if absent:
            with ThreadPoolExecutor(_threads()) as threads:
                encoded = threads.map(lambda index: _encode(self._vlm, self.samples[index], self._pixel_limit), absent)
                fresh = dict(zip(absent, encoded, strict=True))
        for index, sample in fresh.items():
            self._kept.add(index, sample)
        return [fresh[index] if index in fresh else kept[index] for index in indices]


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

    Of several processes that tune together each encodes its part; all of them know of every sample.

    Args:
        vlm: the model.
        samples: what is to be trained on.
        pixel_limit: pixels (width x height) above which an image is refused.
        cache_bytes: how much of the result each process keeps.

    Returns:
        The usable samples, and the others with a reason.

    Raises:
        ValueError: there is no sample, or not one is usable.
    """
    if not samples:
        raise ValueError("there are no samples to tune on; the training set is empty")
    rank, processes = process_group.rank(), process_group.size()
    outcomes, kept = _try_samples(vlm, samples[rank::processes], pixel_limit, cache_bytes)
    parts = process_group.gather(outcomes)
    joined = [parts[index % processes][index // processes] for index in range(len(samples))]
    dropped = tuple(outcome for outcome in joined if isinstance(outcome, Dropped))
    usable = [index for index, outcome in enumerate(joined) if not isinstance(outcome, Dropped)]
    truncated = sum(outcome for outcome in joined if not isinstance(outcome, Dropped))
    reasons = dict(Counter(item.reason for item in dropped))
    if not usable:
        raise ValueError(
            f"not one of the {len(samples)} samples can be tuned on: {reasons}; "
            f"the first, {dropped[0].sample_id}: {dropped[0].detail}"
        )
    if dropped or truncated:
        logger.warning("of %d samples %s are dropped, %d truncated", len(samples), reasons, truncated)
    place = {index: position for position, index in enumerate(usable)}
    kept.samples = {place[rank + processes * index]: sample for index, sample in kept.samples.items()}
    data = TrainingData(vlm, [samples[index] for index in usable], kept, pixel_limit=pixel_limit)
    return PreparedData(data=data, truncated=truncated, dropped=dropped)


def _try_samples(
    vlm: LoadedVlm, samples: Sequence[InstructedImage], pixel_limit: int, cache_bytes: int
) -> tuple[list[Dropped | bool], KeptSamples]:
    """Encode samples: of each whether it was truncated, or why it is dropped; and those that fit into memory."""
    outcomes: list[Dropped | bool] = []
    kept = KeptSamples(cache_bytes)

    def attempt(sample: InstructedImage) -> EncodedSample | Dropped:
        try:
            return _encode(vlm, sample, pixel_limit)
        except (ImageError, SampleError) as error:
            return Dropped(sample.sample_id, str(error.reason), error.detail)

    with ThreadPoolExecutor(_threads()) as threads:
        for start in range(0, len(samples), _CHUNK):
            for outcome in threads.map(attempt, samples[start : start + _CHUNK]):
                if isinstance(outcome, Dropped):
                    outcomes.append(outcome)
                    continue
                kept.add(len(outcomes), outcome)
                outcomes.append(outcome.truncated)
    return outcomes, kept


def _encode(vlm: LoadedVlm, sample: InstructedImage, pixel_limit: int) -> EncodedSample:
    image = load_image(sample.uri, image_sha=sample.image_sha, pixel_limit=pixel_limit)
    return encode(vlm, sample, image)


def _bytes_of(encoded: EncodedSample) -> int:
    tensors = [encoded.input_ids, encoded.labels, *encoded.image.tensors.values()]
    return sum(tensor.element_size() * tensor.nelement() for tensor in tensors) + len(encoded.image.expansion)


def _threads() -> int:
    return min(MAX_THREADS, os.cpu_count() or 1)
