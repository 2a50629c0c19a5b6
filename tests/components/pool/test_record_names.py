"""Every shape of record that people have: which id and image it gets, or why it is left out."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.pool.record_names import name_record
from components.pool.records import PoolRecord, RejectedRecord, SourceError
from components.pool.sources import read_pool
from tests.components.pool.conftest import source

TALK = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}]


@pytest.mark.parametrize(
    ("fields", "record_id", "image"),
    [
        ({"id": "a", "image": "1.jpg"}, "a", "1.jpg"),
        ({"id": 7, "image": "1.jpg"}, "7", "1.jpg"),
        ({"id": 7.0, "image": "1.jpg"}, "7", "1.jpg"),
        ({"image": "x/1.jpg"}, "x/1.jpg", "x/1.jpg"),
        ({"id": None, "image": "1.jpg"}, "1.jpg", "1.jpg"),
        ({"id": "", "image": "1.jpg"}, "1.jpg", "1.jpg"),
        ({"id": math.nan, "image": "1.jpg"}, "1.jpg", "1.jpg"),
        ({"id": 0, "image": "1.jpg"}, "0", "1.jpg"),
        ({"id": "a", "images": ["1.jpg"], "messages": TALK}, "a", "1.jpg"),
        ({"id": "a", "image": ["1.jpg"]}, "a", "1.jpg"),
        ({"id": "a", "image": [], "images": ["1.jpg"]}, "a", "1.jpg"),
        ({"id": "a", "images": "1.jpg"}, "a", "1.jpg"),
        ({"id": "a", "image": {"bytes": None, "path": "1.jpg"}}, "a", "1.jpg"),
        ({"images": [{"path": "1.jpg"}]}, "1.jpg", "1.jpg"),
    ],
)
def test_usable_shapes(fields, record_id, image):
    names = name_record(fields, 3)
    assert (names.record_id, names.image, names.fault, names.text_only) == (record_id, image, "", False)


@pytest.mark.parametrize(
    ("fields", "fault", "text_only"),
    [
        ({"id": "a", "conversations": TALK}, "no image", True),
        ({"id": "a", "image": None, "conversations": TALK}, "no image", True),
        ({"id": "a", "image": "", "messages": TALK}, "no image", True),
        ({"id": "a", "images": [], "messages": TALK}, "no image", True),
        ({"id": "a", "images": [""], "messages": TALK}, "no image", False),
        ({"id": "a"}, "no image", False),
        ({"id": "a", "file_name": "1.jpg", "conversations": TALK}, "it has file_name '1.jpg': call that", False),
        ({"id": "a", "image_path": "1", "conversations": TALK}, "it has image_path '1': call that", False),
        ({"id": "a", "picture": ["x/1.PNG"], "conversations": TALK}, r"it has picture \['x/1.PNG'\]", False),
        ({"id": "a", "video": "1.mp4", "conversations": TALK}, "it has video '1.mp4'", False),
        ({"id": "a", "images": ["1.jpg", "2.jpg"], "conversations": TALK}, "it names 2 images", False),
        ({"id": "a", "image": {"bytes": "x", "path": "1.jpg"}}, "the image is embedded", False),
        ({"id": "a", "image": {"bytes": "x"}}, "the image is embedded", False),
        ({"id": "a", "image": 5}, "image must be one path, got int 5", False),
        ({"id": "a", "image": "a\0b"}, "image holds a zero byte", False),
        ({"id": True, "image": "1.jpg"}, "the id must be text or a whole number, got bool", False),
        ({"id": 1.5, "image": "1.jpg"}, "the id must be text or a whole number, got float", False),
        ({"id": ["a"], "image": "1.jpg"}, "the id must be text or a whole number, got a list", False),
        ({"id": "a\ud800", "image": "1.jpg"}, "the id is not valid Unicode", False),
    ],
)
def test_unusable_shapes_are_named(fields, fault, text_only):
    import re

    names = name_record(fields, 3)
    assert re.search(fault, names.fault)
    assert names.text_only == text_only


def split(pool):
    entries = read_pool([pool])
    found = [(entry.record_id, entry.image) for entry in entries if isinstance(entry, PoolRecord)]
    return found, [(entry.record_id, entry.reason) for entry in entries if isinstance(entry, RejectedRecord)]


def test_a_record_whose_image_is_called_otherwise_is_never_called_text_only(tmp_path):
    values = [
        {"id": "1", "images": ["a.jpg"], "conversations": TALK},
        {"id": "2", "file_name": "b.jpg", "conversations": TALK},
        {"id": "3", "conversations": TALK},
    ]
    (tmp_path / "pool.json").write_text(json.dumps(values))
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, values)))
    for kind, name in (("llava_json", "pool.json"), ("jsonl", "pool.jsonl")):
        found, lost = split(source(kind, tmp_path / name, tmp_path, constant="t"))
        assert found == [("1", "a.jpg")]
        assert lost == [("2", "invalid_record"), ("3", "text_only")]


def test_parquet_has_the_same_shapes(tmp_path):
    table = pa.table(
        {
            "id": pa.array([1.0, None, 3.0, 4.0]),
            "images": [["a.jpg"], ["b.jpg"], [], ["a.jpg", "b.jpg"]],
            "messages": [TALK] * 4,
        }
    )
    pq.write_table(table, tmp_path / "pool.parquet")
    found, lost = split(source("parquet", tmp_path / "pool.parquet", tmp_path, constant="t"))
    assert found == [("1", "a.jpg"), ("b.jpg", "b.jpg")]
    assert lost == [("3", "text_only"), ("4", "invalid_record")]


@pytest.mark.parametrize("name", ["image", "id", "conversations", "kind"])
def test_a_parquet_column_that_is_there_twice_is_named(tmp_path, name):
    names = ["image", "id", "conversations", "kind", name]
    table = pa.Table.from_arrays([pa.array(["a.jpg"])] * 5, names=names)
    pq.write_table(table, tmp_path / "pool.parquet")
    with pytest.raises(SourceError, match=f"pool.parquet has 2 columns '{name}'; rename or drop all but one"):
        split(source("parquet", tmp_path / "pool.parquet", tmp_path, field="kind"))


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("jsonl", '{"image": "a.jpg"}\n'.encode("utf-16"), "not JSON Lines in UTF-8: it is text in UTF-16"),
        ("jsonl", b"\x1f\x8b\x08", r"it is compressed \(gzip\)"),
        ("jsonl", b' \n[{"image": "a.jpg"}]', "a JSON list, not one object per line; use kind llava_json"),
        ("parquet", b"version https://git-lfs.github.com/spec/v1\n", "it is a git-lfs pointer"),
        ("llava_json", b"BZh9", r"it is compressed \(bzip2\)"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, kind, data, message):
    (tmp_path / "pool").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        split(source(kind, tmp_path / "pool", tmp_path, constant="t"))


def test_json_lines_that_end_early_say_after_how_many_records(tmp_path):
    (tmp_path / "pool.jsonl").write_text('{"image": "a.jpg"}\n{"image": "b.jpg"}\n{"image": "c.j')
    *_, last = read_pool([source("jsonl", tmp_path / "pool.jsonl", tmp_path, constant="t")])
    assert isinstance(last, RejectedRecord)
    assert "line 3 is not JSON" in last.detail
    assert last.detail.endswith("the file ends in it, after 2 records")


def test_what_operating_systems_leave_in_folders_is_no_record(tmp_path):
    for name in ("cats/a.jpg", "cats/._a.jpg", "cats/.DS_Store", "__MACOSX/cats/._a.jpg", "Thumbs.db", "cats/.b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, lost = split(source("image_folder", tmp_path, tmp_path, constant="t"))
    assert [image for _, image in found] == ["cats/.b.jpg", "cats/a.jpg"]
    assert not lost


@pytest.mark.parametrize("image", ["https://example.org/a.jpg", "file:///pool/a.jpg", "s3://bucket/a.jpg"])
def test_an_address_in_the_place_of_a_path_is_called_one(tmp_path, image):
    (tmp_path / "pool.json").write_text(json.dumps([{"id": "a", "image": image}]), encoding="utf-8")
    (lost,) = read_pool([source("llava_json", tmp_path / "pool.json", tmp_path, constant="t")])
    assert isinstance(lost, RejectedRecord)
    assert "is an address, not a path below image_root" in lost.detail
