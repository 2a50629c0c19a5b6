import os
import re
from pathlib import Path

import fsspec
import pytest

from components.parameters.parameters import SourceParameters
from components.pool.locations import (
    expand_paths,
    file_stamp,
    join_root,
    leaves_roots,
    local_path,
    open_binary,
    tar_member_uri,
)
from components.pool.records import SourceError
from components.pool.sources import read_pool, snapshot_sources


@pytest.mark.parametrize(
    ("root", "image", "uri"),
    [
        ("data/images", "a/b.jpg", "data/images/a/b.jpg"),
        ("./data/images/", "a/../b.jpg", "data/images/b.jpg"),
        (".", "a.jpg", "./a.jpg"),
        ("/pool", "/pool/a.jpg", "/pool/a.jpg"),
        ("/", "etc/passwd", "/etc/passwd"),
        ("data", "..", None),
        ("data", "../data_beside/a.jpg", None),
        ("data", "a/../../b.jpg", None),
        ("data", "/etc/passwd", None),
        ("data", "..a.jpg", "data/..a.jpg"),
        ("memory://pool", "a/./b.jpg", "memory://pool/a/b.jpg"),
        ("memory://pool", "../b.jpg", None),
        ("memory://pool", "/b.jpg", None),
        ("memory://pool", "zip://a::file:///etc/passwd", None),
        ("file:///pool", "a.jpg", "file:///pool/a.jpg"),
    ],
)
def test_an_image_is_joined_to_its_root_and_cannot_leave_it(root, image, uri):
    assert join_root(root, image) == uri


def test_an_absolute_path_inside_a_relative_root_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert join_root("data", str(tmp_path / "data" / "a.jpg")) == "data/a.jpg"


@pytest.mark.parametrize("image", ["tar-member:0+4@/etc/passwd", "file:///etc/passwd", "simplecache::file:///x"])
def test_no_image_name_passes_for_another_kind_of_place(image):
    uri = join_root(".", image)
    assert uri is not None
    path = local_path(uri)
    assert path is not None
    assert not path.is_absolute()


def test_symbolic_links_are_followed_to_see_whether_they_leave(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root_beside").mkdir()
    (tmp_path / "root" / "inside").symlink_to("a.jpg")
    (tmp_path / "root" / "outside").symlink_to("../root_beside")
    (tmp_path / "link_to_root").symlink_to("root")
    root = str(tmp_path / "root")
    beside = str(tmp_path / "root_beside")
    assert leaves_roots(f"{root}/inside", [root]) is None
    assert leaves_roots(f"{root}/outside/a.jpg", [root]) == f"{beside}/a.jpg"
    assert leaves_roots(f"{root}/outside/a.jpg", [root, beside]) is None
    assert leaves_roots(f"{tmp_path}/link_to_root/a.jpg", [str(tmp_path / "link_to_root")]) is None
    assert leaves_roots("memory://pool/a.jpg", ["memory://pool"]) is None


def test_braces_ranges_and_globs_are_expanded(tmp_path):
    for name in ("a-000.tar", "a-001.tar", "b.tar", "c.txt"):
        (tmp_path / name).touch()
    base = str(tmp_path)
    assert expand_paths(f"{base}/a-{{000..001}}.tar") == (f"{base}/a-000.tar", f"{base}/a-001.tar")
    assert expand_paths(f"{base}/{{b,a-001}}.tar") == (f"{base}/b.tar", f"{base}/a-001.tar")
    assert expand_paths(f"{base}/*.tar") == (f"{base}/a-000.tar", f"{base}/a-001.tar", f"{base}/b.tar")
    assert expand_paths(f"{base}/{{a-*,b}}.tar") == (f"{base}/a-000.tar", f"{base}/a-001.tar", f"{base}/b.tar")
    assert expand_paths(f"{base}/nothing*.tar") == ()
    assert expand_paths(f"{base}/missing.tar") == (f"{base}/missing.tar",)


@pytest.mark.parametrize("braces", ["{0..99999999999}", "{0..9999}{0..9999}", "{a,b}" * 30])
def test_braces_that_name_more_files_than_there_are_are_refused(braces):
    with pytest.raises(ValueError, match="1,000,000 are the most"):
        expand_paths(f"shards/{braces}.tar")


def test_a_name_with_braces_or_brackets_that_exists_is_itself(tmp_path):
    for name in ("{x}.json", "[1].json"):
        (tmp_path / name).touch()
        assert expand_paths(f"{tmp_path}/{name}") == (f"{tmp_path}/{name}",)
    assert expand_paths("a{x}b{1..2}") == ("a{x}b1", "a{x}b2")


def test_remote_globs_are_expanded():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/locations/1.tar": b"", "/locations/2.tar": b"", "/locations/x": b""})
    assert expand_paths("memory://locations/*.tar") == ("memory:///locations/1.tar", "memory:///locations/2.tar")
    filesystem.rm("/locations", recursive=True)


def test_a_member_of_a_tar_is_read_by_its_place(tmp_path):
    (tmp_path / "s@1+2.tar").write_bytes(b"0123456789")
    uri = tar_member_uri(f"{tmp_path}/s@1+2.tar", offset=3, size=4)
    with open_binary(uri) as file:
        assert file.read() == b"3456"
    with pytest.raises(EOFError, match="ends 1 bytes before"):
        open_binary(tar_member_uri(f"{tmp_path}/s@1+2.tar", offset=7, size=4))


def test_the_stamp_changes_with_the_file(tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(b"1")
    os.utime(file, ns=(0, 1_000_000_001))
    stamps = [file_stamp(str(file), with_change_time=wanted) for wanted in (False, True)]
    for uri in (f"file://{file}", tar_member_uri(str(file), offset=0, size=1)):
        assert stamps == [file_stamp(uri, with_change_time=wanted) for wanted in (False, True)]
    os.utime(file, ns=(0, 1_000_000_001))  # as it was
    assert [file_stamp(str(file), with_change_time=wanted) == stamps[wanted] for wanted in (False, True)] == [
        True,
        False,
    ]
    os.utime(file, ns=(0, 1_000_000_002))
    assert file_stamp(str(file), with_change_time=False) != stamps[0]


def test_a_file_system_that_knows_no_versions_gives_no_stamp():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/locations/a", b"x")
    assert file_stamp("memory://locations/a", with_change_time=True) is None
    filesystem.rm("/locations", recursive=True)


class _ServiceError(Exception):
    """What a remote file system's library raises, which is no OSError."""


class _BrokenFile:
    def read(self, _: int) -> bytes:
        raise _ServiceError("connection reset")

    def seek(self, offset: int, _: int) -> int:
        return offset

    def tell(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to close."""


class _BrokenFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    protocol = "broken"

    def open(self, path, *_, **__):
        if "denied" in path:
            raise _ServiceError("no credentials")
        return _BrokenFile()

    def find(self, *_, **__):
        raise _ServiceError("no credentials")

    info = isdir = glob = cat_file = find


@pytest.fixture
def broken_remote():
    fsspec.register_implementation("broken", _BrokenFileSystem, clobber=True)


@pytest.mark.usefixtures("broken_remote")
def test_whatever_a_remote_file_system_raises_is_an_os_error():
    with pytest.raises(OSError, match=r"broken://denied/a: _ServiceError: no credentials"):
        open_binary("broken://denied/a")
    with open_binary("broken://b/a") as file, pytest.raises(OSError, match="connection reset"):
        file.read(1)
    for call in (
        lambda: file_stamp("broken://b/a", with_change_time=True),
        lambda: expand_paths("broken://b/*.json"),
        lambda: open_binary(tar_member_uri("broken://b/s.tar", offset=0, size=1)),
        lambda: open_binary("nowhere://b/a"),
    ):
        with pytest.raises(OSError, match="://b/"):
            call()


@pytest.mark.usefixtures("broken_remote")
@pytest.mark.parametrize("kind", ["llava_json", "jsonl", "parquet", "webdataset", "image_folder"])
def test_a_source_that_a_remote_file_system_fails_for_is_named(kind, tmp_path):
    (tmp_path / "pool.json").write_text('[{"image": "a.png"}]')
    for path, root in (("broken://b/pool.json", str(tmp_path)), (str(tmp_path / "pool.json"), "broken://b")):
        if kind in ("webdataset", "image_folder") and root == "broken://b":
            continue  # a snapshot of theirs has no use for a root
        source = SourceParameters.model_validate(
            {"kind": kind, "path": path, "image_root": root, "task": {"constant": "t"}}
        )
        with pytest.raises(SourceError, match=re.escape(f"source {path}")):
            snapshot_sources([source])
        if path.startswith("broken"):
            with pytest.raises(SourceError, match=re.escape(f"source {path}")):
                read_pool([source])
