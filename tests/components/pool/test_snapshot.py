import json
import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from components.parameters.parameters import SourceParameters
from components.pool.records import SourceError
from components.pool.snapshot import MissingInputFileError, MissingModelError, snapshot_files, snapshot_model
from components.pool.sources import snapshot_sources


def source(kind: str, path: object, root: object) -> SourceParameters:
    return SourceParameters.model_validate(
        {"kind": kind, "path": str(path), "image_root": str(root), "task": {"constant": "t"}}
    )


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for name in ("a.jpg", "deep/b.jpg"):
        (tmp_path / "images" / name).write_bytes(b"x")
    (tmp_path / "pool.json").write_text("[1]")
    (tmp_path / "s.tar").write_bytes(b"tar")
    return tmp_path


CHANGES: dict[str, Callable[[Path], object]] = {
    "records": lambda pool: (pool / "pool.json").write_text("[2]"),
    "new image": lambda pool: (pool / "images" / "c.jpg").touch(),
    "removed image": lambda pool: (pool / "images" / "a.jpg").unlink(),
    "renamed image": lambda pool: (pool / "images" / "a.jpg").rename(pool / "images" / "d.jpg"),
    "image written again": lambda pool: os.utime(pool / "images" / "deep" / "b.jpg", ns=(0, 1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_snapshot_of_a_record_file_changes_with_it_and_with_its_images(pool, change):
    sources = [source("llava_json", pool / "pool.json", pool / "images")]
    before = snapshot_sources(sources)
    assert snapshot_sources(sources) == before
    CHANGES[change](pool)
    assert snapshot_sources(sources) != before


def test_a_record_file_that_is_only_touched_is_the_same(pool):
    sources = [source("llava_json", pool / "pool.json", pool / "images")]
    before = snapshot_sources(sources)
    os.utime(pool / "pool.json", ns=(0, 1))
    assert snapshot_sources(sources) == before


def test_folders_and_shards_are_told_by_size_and_time(pool):
    for kind, path, touched in (
        ("image_folder", pool / "images", pool / "images" / "a.jpg"),
        ("webdataset", f"{pool}/*.tar", pool / "s.tar"),
    ):
        sources = [source(kind, path, pool / "images")]
        before = snapshot_sources(sources)
        os.utime(touched, ns=(0, 1))
        assert snapshot_sources(sources) != before


def test_a_link_that_leads_nowhere_is_no_obstacle(pool):
    (pool / "images" / "link").symlink_to("nowhere")
    found = json.loads(snapshot_sources([source("image_folder", pool / "images", pool / "images")]))
    assert found[0]["images"]["count"] == 3


def test_a_missing_record_file_is_named(pool):
    for kind in ("llava_json", "webdataset"):
        with pytest.raises(SourceError, match="nothing"):
            snapshot_sources([source(kind, pool / "nothing", pool / "images")])


def test_remote_sources_have_snapshots():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/snapshot/pool.json": b"[1]", "/snapshot/images/a.jpg": b"x"})
    sources = [source("llava_json", "memory://snapshot/pool.json", "memory://snapshot/images")]
    before = snapshot_sources(sources)
    filesystem.pipe("/snapshot/images/a.jpg", b"xy")
    assert snapshot_sources(sources) != before
    filesystem.rm("/snapshot", recursive=True)


def test_files_are_told_by_their_bytes(pool):
    before = snapshot_files([pool / "pool.json", pool / "images"])
    assert len(json.loads(before)) == 3
    os.utime(pool / "images" / "a.jpg", ns=(0, 1))
    assert snapshot_files([pool / "pool.json", pool / "images"]) == before
    (pool / "images" / "a.jpg").write_bytes(b"y")
    assert snapshot_files([pool / "pool.json", pool / "images"]) != before
    with pytest.raises(FileNotFoundError, match="nothing: no such file; correct"):
        snapshot_files([pool / "nothing"])


def test_a_model_folder_is_told_by_its_bytes_and_a_hub_model_by_its_revision(pool):
    before = snapshot_model(str(pool / "images"), None)
    (pool / "images" / "deep" / "b.jpg").write_bytes(b"y")
    assert snapshot_model(str(pool / "images"), None) != before
    assert snapshot_model("facebook/dinov2-base", "a") != snapshot_model("facebook/dinov2-base", "b")
    with pytest.raises(ValueError, match=r"'facebook/dinov2-base' is no folder here; .* give the revision"):
        snapshot_model("facebook/dinov2-base", None)


@pytest.mark.parametrize("kind", ["llava_json", "jsonl"])
def test_of_a_root_that_holds_the_project_only_named_images_count(pool, monkeypatch, kind):
    (pool / "project").mkdir()
    monkeypatch.chdir(pool / "project")
    record = json.dumps({"image": str(pool / "images" / "a.jpg")})
    (pool / "named.json").write_text(f"[{record}]" if kind == "llava_json" else record)
    sources = [source(kind, pool / "named.json", "/")]
    before = snapshot_sources(sources)
    (pool / "project" / "state").touch()
    os.utime(pool / "images" / "deep" / "b.jpg", ns=(0, 1))
    assert snapshot_sources(sources) == before
    os.utime(pool / "images" / "a.jpg", ns=(0, 1))
    touched = snapshot_sources(sources)
    assert touched != before
    (pool / "images" / "a.jpg").unlink()
    assert snapshot_sources(sources) not in (before, touched)


def test_remote_files_are_told_by_their_bytes():
    memory_url = "memory://snapshot-files"
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/snapshot-files/a.json", b"[1]")
    before = snapshot_files([f"{memory_url}/a.json"])
    filesystem.pipe("/snapshot-files/a.json", b"[2]")
    assert snapshot_files([f"{memory_url}/a.json"]) != before
    with pytest.raises(FileNotFoundError, match="no such file"):
        snapshot_files([f"{memory_url}/b.json"])


@pytest.mark.parametrize("path", ["x" * 300, "abc://bucket/a.json", "gone.json"])
def test_a_file_that_cannot_be_named_or_reached_is_said(path):
    with pytest.raises(MissingInputFileError, match=path[:200]):
        snapshot_files([path])


def test_a_model_with_a_link_that_leads_nowhere_is_named(tmp_path):
    """As a download into a cache leaves one that was broken off."""
    (tmp_path / "model.safetensors").symlink_to("../blobs/gone")
    with pytest.raises(MissingModelError, match=r"model .* cannot be read: .*model\.safetensors"):
        snapshot_model(str(tmp_path), None)
