import math
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.models.training.update_shares import UpdateShares


def shares(samples: int, batch_size: int, accumulation: int, processes: int = 1, epoch: int = 0) -> list[UpdateShares]:
    made = [
        UpdateShares(
            samples, batch_size=batch_size, accumulation=accumulation, seed=5, process=process, processes=processes
        )
        for process in range(processes)
    ]
    for one in made:
        one.set_epoch(epoch)
    return made


def updates(batches: list[list[int]], each: int) -> list[list[int]]:
    """The samples of every update, given how many batches one has."""
    return [list(chain(*batches[start : start + each])) for start in range(0, len(batches), each)]


@given(
    samples=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    accumulation=st.integers(1, 4),
    processes=st.integers(1, 6),
    epoch=st.integers(0, 2),
)
def test_together_the_processes_take_every_update_of_one(samples, batch_size, accumulation, processes, epoch):
    (alone,) = shares(samples, batch_size, accumulation, epoch=epoch)
    expected = updates(list(alone), alone.batches_per_update)
    parts = shares(samples, batch_size, accumulation, processes, epoch)
    batches = [list(part) for part in parts]
    assert {len(made) for made in batches} == {len(part) for part in parts}, "all make the same number of batches"
    assert len({len(made) for made in batches}) == 1
    assert all(len(batch) <= batch_size for made in batches for batch in made)
    of_each = [updates(made, parts[0].batches_per_update) for made in batches]
    together = [list(chain(*update)) for update in zip(*of_each, strict=True)]
    assert together == expected
    sizes = [[len(share) for share in update] for update in zip(*of_each, strict=True)]
    assert all(max(update) - min(update) <= 1 for update in sizes)
    assert sorted(chain(*expected)) == list(range(samples))
    assert parts[-1].epochs_after(len(expected)) == 1.0


def test_one_process_takes_the_shuffled_samples_batch_by_batch():
    (alone,) = shares(10, 4, 2, epoch=3)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(5 + 3)).tolist()
    assert list(alone) == [order[:4], order[4:8], order[8:]]
    assert len(alone) == 3


def test_a_process_without_a_share_gets_an_empty_batch():
    first, second = (list(part) for part in shares(17, 16, 1, 2))
    assert [len(batch) for batch in first] == [8, 0]
    assert [len(batch) for batch in second] == [8, 1]


@pytest.mark.parametrize(("done", "epochs"), [(0, 0.0), (1, 2 / 3), (2, 1.0), (3, 1 + 2 / 3), (5, 2 + 2 / 3)])
def test_passes_are_counted_in_the_batches_of_one_process(done: int, epochs: float):
    for part in shares(10, 4, 2, 3):
        assert part.epochs_after(done) == epochs
    assert math.ceil(10 / 4) == 3
