"""A damaged object of the DVC cache is never used: it is fetched again, or the stage runs again."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from components.lineage.lock_file import LineageError
from tasks.platform.dvc_objects import open_objects, push_hashes
from tasks.platform.versioning import open_stage
from tasks.platform.workspace import Workspace
from tests.tasks.platform.test_stage import Pipeline, run

HERE = Workspace(".")
# Copies are the simplest; where a file system has no reflinks, they are copies.
_KINDS = ("hardlink", "symlink", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("copy", "reflink,copy")))


@pytest.fixture
def pipeline(two_stages: Path) -> Pipeline:
    return Pipeline()


def damage(folder: Path, content: bytes) -> int:
    """Flip a byte of every object that holds this content, as a bad disk does: size, time and mode stay."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == content]
    for path in found:
        before = path.stat()
        path.chmod(0o644)
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        path.chmod(before.st_mode & 0o777)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return len(found)


def lose_the_remote(project: Path) -> None:
    """What a stage made was copied there when it was finished."""
    shutil.rmtree(project / ".presel/dvc-remote")


def set_link_type(project: Path, kind: str) -> None:
    (project / ".dvc/config.local").write_text(f"[cache]\n    type = {kind}\n", encoding="utf-8")


@pytest.mark.parametrize("kind", _KINDS)
def test_recomputed(pipeline: Pipeline, two_stages: Path, kind: str) -> None:
    set_link_type(two_stages, kind)
    run(pipeline)
    lose_the_remote(two_stages)
    content = (two_stages / "data/count/count.json").read_bytes()
    assert damage(two_stages / ".dvc/cache", content) == 1
    shutil.rmtree(two_stages / "data/count")
    assert run(pipeline) == ["count"]
    assert (two_stages / "data/count/count.json").read_bytes() == content
    shutil.rmtree(two_stages / "data/count")
    assert run(pipeline) == [], "the cache holds a good copy again"


@pytest.mark.parametrize("kind", _KINDS)
def test_restored_from_the_remote(pipeline: Pipeline, two_stages: Path, kind: str) -> None:
    set_link_type(two_stages, kind)
    run(pipeline)
    content = (two_stages / "data/count/count.json").read_bytes()
    assert damage(two_stages / ".dvc/cache", content) == 1
    shutil.rmtree(two_stages / "data/count")
    assert run(pipeline) == []
    assert (two_stages / "data/count/count.json").read_bytes() == content


def test_damaged_in_the_remote_too(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    content = (two_stages / "data/count/count.json").read_bytes()
    assert damage(two_stages / ".dvc/cache", content) == 1
    assert damage(two_stages / ".presel/dvc-remote", content) == 1
    shutil.rmtree(two_stages / "data/count")
    assert run(pipeline) == ["count"]
    assert (two_stages / "data/count/count.json").read_bytes() == content


def test_the_listing_of_a_directory_is_damaged(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    with open_stage(HERE, "count") as stage:
        listing = Path(stage.repo.cache.local.oid_to_path(stage.outs[0].hash_info.value))
    lose_the_remote(two_stages)
    assert damage(listing.parent, listing.read_bytes()) == 1
    shutil.rmtree(two_stages / "data/count")
    assert run(pipeline) == ["count"]


def test_a_changed_artifact_is_replaced(pipeline: Pipeline, two_stages: Path) -> None:
    """With hard links the workspace's file is the cache's file, and a change of one is a change of both."""
    set_link_type(two_stages, "hardlink")
    run(pipeline)
    shutil.rmtree(two_stages / "data/count")
    assert run(pipeline) == []
    path = two_stages / "data/count/count.json"
    content = path.read_bytes()
    assert path.stat().st_nlink == 2
    path.chmod(0o644)
    path.write_bytes(b"7")
    path.chmod(0o444)
    assert run(pipeline) == []
    assert path.read_bytes() == content


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


def test_a_version_is_copied_to_the_remote_with_its_files_and_once(two_stages: Path, content: bytes) -> None:
    lose_the_remote(two_stages)
    with open_stage(HERE, "count") as stage:
        version = str(stage.outs[0].hash_info.value)
    assert push_hashes([version, "f" * 32 + ".dir"]) >= 2, "the listing and its files; what the cache lacks is left out"
    assert push_hashes([version]) == 0
    shutil.rmtree(two_stages / ".dvc/cache")
    assert found(content) == content
