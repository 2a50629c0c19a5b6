"""What is needed against what is free, in numbers by hand."""

from pathlib import Path

import pytest

from components.plan.disk_space import FileSystem, too_little_space

GIGABYTE = 10**9
DATA, CACHE = Path("runs/a/data"), Path(".dvc/cache")


def on_one(free):
    return lambda _: FileSystem(1, free)


def on_two(data, cache):
    return lambda folder: FileSystem(1, data) if folder == DATA else FileSystem(2, cache)


@pytest.mark.parametrize(
    ("needs", "locate"),
    [
        ({}, on_one(0)),
        ({DATA: 0}, on_one(0)),
        ({DATA: 5}, on_one(5)),
        ({DATA: 2, CACHE: 3}, on_one(5)),
        ({DATA: 5, CACHE: 7}, on_two(5, 7)),
        ({DATA: 5}, on_one(None)),
    ],
    ids=["nothing", "nothing to write", "exactly", "both exactly", "each exactly", "not said"],
)
def test_what_fits_is_not_complained_of(needs, locate):
    assert too_little_space(needs, locate) == ""


def test_folders_of_one_file_system_share_its_space():
    said = too_little_space({DATA: 3 * GIGABYTE, CACHE: 3 * GIGABYTE}, on_one(5 * GIGABYTE))
    assert "runs/a/data and .dvc/cache takes 6.0 GB at least, and 5.0 GB are free" in said


def test_each_file_system_is_held_against_its_own_folders():
    said = too_little_space({DATA: 3 * GIGABYTE, CACHE: 3 * GIGABYTE}, on_two(9 * GIGABYTE, 2 * GIGABYTE))
    assert "write to .dvc/cache takes 3.0 GB at least, and 2.0 GB are free" in said


def test_they_share_it_too_when_others_write_meanwhile():
    free = iter((5 * GIGABYTE, 5 * GIGABYTE - 4096))
    said = too_little_space({DATA: 3 * GIGABYTE, CACHE: 3 * GIGABYTE}, lambda _: FileSystem(1, next(free)))
    assert "runs/a/data and .dvc/cache takes 6.0 GB at least" in said
