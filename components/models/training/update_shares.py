"""Which samples a process takes of every optimiser update, so that the update is the same for any number of them."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class UpdateShares(Sampler[list[int]]):
    """The batches of one of the processes that tune together.

    The samples of an epoch are shuffled by seed and epoch and cut into updates of `batch_size * accumulation`; the last
    may be smaller. Of each, a process takes a contiguous share, as large as the others' or one smaller, in batches of
    `batch_size` at most. All processes make the same number of batches, so one whose share is used up gets empty ones.

    Args:
        samples: how many there are.
        batch_size: samples of a batch at most.
        accumulation: batches of an update when one process takes all of it.
        seed: of the shuffling.
        process: which of the processes this is, from 0.
        processes: how many there are.

    Attributes:
        batches_per_update: batches a process takes for an update that is not an epoch's last.
    """

    def __init__(
        self, samples: int, *, batch_size: int, accumulation: int, seed: int, process: int = 0, processes: int = 1
    ) -> None:
        self._samples = samples
        self._batch_size = batch_size
        self._update_size = batch_size * accumulation
        self._seed = seed
        self._process = process
        self._processes = processes
        self._epoch = 0
        self.batches_per_update = self._batches(self._update_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose order is drawn next."""
        self._epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self._samples, self._update_size)
        return whole * self.batches_per_update + self._batches(rest)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        order = torch.randperm(self._samples, generator=generator).tolist()
        for start in range(0, self._samples, self._update_size):
            yield from self._share(order[start : start + self._update_size])

    def epochs_after(self, updates: int) -> float:
        """Passes over the samples after so many updates, counted in the batches that one process would take."""
        batches = math.ceil(self._samples / self._batch_size)
        accumulation = self._update_size // self._batch_size
        epochs, rest = divmod(updates, math.ceil(batches / accumulation))
        return epochs + rest * accumulation / batches

    def _share(self, members: Sequence[int]) -> Iterator[list[int]]:
        first, last = (len(members) * bound // self._processes for bound in (self._process, self._process + 1))
        for batch in range(self._batches(len(members))):
            start = first + batch * self._batch_size
            yield list(members[start : min(start + self._batch_size, last)])

    def _batches(self, members: int) -> int:
        """Batches that the largest share of an update takes."""
        return math.ceil(math.ceil(members / self._processes) / self._batch_size)
