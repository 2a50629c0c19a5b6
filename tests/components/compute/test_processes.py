import os

import pytest

from components.compute.processes import decoding_processes


@pytest.mark.parametrize(
    ("images", "cores", "expected"),
    [(1_999, 64, 0), (2_000, 1, 0), (2_000, 2, 0), (2_000, 3, 2), (10**6, 8, 7), (10**6, 64, 8), (0, 4, 0)],
)
def test_as_many_as_the_work_and_the_cores_are_worth(images, cores, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert decoding_processes(images) == expected


@pytest.mark.parametrize(("cores", "expected"), [(None, 0), (4, 3)])
def test_a_system_that_knows_no_affinity(cores, expected, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert decoding_processes(5_000) == expected
