"""What is found by its hash has that hash: damage in the cache is mended from the remote or said."""

import hashlib
import shutil
from pathlib import Path

import pytest

from components.lineage.lock_file import LineageError
from tasks.platform.object_store import open_objects
from tests.tasks.platform.test_dvc_cache import damage, lose_the_remote
from tests.tasks.platform.test_stage import Pipeline, run


@pytest.fixture
def content(two_stages: Path) -> bytes:
    """Of an object that cache and remote hold."""
    run(Pipeline())
    return (two_stages / "data/count/count.json").read_bytes()


def found(content: bytes, **options: bool) -> bytes | None:
    with open_objects(**options) as find:
        path = find(hashlib.md5(content).hexdigest())
        return None if path is None else path.read_bytes()


def test_a_damaged_object_is_fetched_again(two_stages: Path, content: bytes) -> None:
    assert damage(two_stages / ".dvc/cache", content) == 1
    assert found(content) == content


@pytest.mark.parametrize("remote", ["lost", "damaged"])
def test_without_a_whole_one_in_the_remote_it_is_said(two_stages: Path, content: bytes, remote: str) -> None:
    if remote == "lost":
        lose_the_remote(two_stages)
    else:
        assert damage(two_stages / ".presel/dvc-remote", content) == 1
    assert damage(two_stages / ".dvc/cache", content) == 1
    with pytest.raises(LineageError, match="no whole one"):
        found(content)


def test_a_damaged_object_of_the_remote_alone_is_not_taken(two_stages: Path, content: bytes) -> None:
    assert damage(two_stages / ".presel/dvc-remote", content) == 1
    shutil.rmtree(two_stages / ".dvc/cache")
    with pytest.raises(LineageError, match="no whole one"):
        found(content)


def test_who_hashes_himself_sees_the_damage(two_stages: Path, content: bytes) -> None:
    assert damage(two_stages / ".dvc/cache", content) == 1
    seen = found(content, check=False)
    assert seen is not None
    assert seen != content
