import io
import json
import tarfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.parameters.parameters import SourceParameters
from components.pool.images import load_image, read_image_bytes
from components.pool.records import PoolRecord, RejectedRecord, SourceError
from components.pool.sources import read_pool
from tests.components.pool.conftest import source, textured


def records(*sources: SourceParameters) -> list[PoolRecord]:
    return [entry for entry in read_pool(sources) if isinstance(entry, PoolRecord)]


def rejected(*sources: SourceParameters) -> list[tuple[str, str]]:
    return [(entry.record_id, entry.reason) for entry in read_pool(sources) if isinstance(entry, RejectedRecord)]


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    textured(seed).save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_a_kind_without_a_reader_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be one of llava_json, image_folder, parquet"):
        source("csv", tmp_path / "pool.csv", tmp_path)


def test_llava_json_with_and_without_conversations(tmp_path):
    talk = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}]
    values = [
        {"id": "1", "image": "coco/1.jpg", "conversations": talk},
        {"id": "1", "image": "coco/1.jpg", "conversations": talk * 3},
        {"id": 2, "image": "gqa/2.jpg"},
        {"id": "3", "conversations": talk},
        {"id": "4", "image": None, "conversations": talk},
    ]
    (tmp_path / "pool.json").write_text(json.dumps(values))
    pool = source("llava_json", tmp_path / "pool.json", tmp_path, prefix=True)
    assert [(entry.record_id, entry.task) for entry in records(pool)] == [("1", "coco"), ("1", "coco"), ("2", "gqa")]
    assert rejected(pool) == [("3", "text_only"), ("4", "text_only")]


def test_an_id_names_one_image_per_file_and_task(tmp_path):
    values = [
        {"id": "1", "image": "missing.jpg", "task": "a"},
        {"id": "1", "image": "./missing.jpg", "task": "a"},
        {"id": "1", "image": "other.jpg", "task": "a"},
        {"id": "1", "image": "other.jpg", "task": "b"},
    ]
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text(json.dumps(values))
    pools = [source("llava_json", tmp_path / name, tmp_path) for name in ("one.json", "two.json")]
    assert [entry.uri[-10:] for entry in records(*pools)] == ["issing.jpg", "issing.jpg", "/other.jpg"] * 2
    assert rejected(*pools) == [("1", "duplicate_id")] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds no records; take it out"),
        ("", "is empty"),
        ('[{"id": "d0", "ima', "ends early, at byte 18, inside entry 1"),
        ('[{"id": "d0", "image": "a.jpg"},]', "a comma before the closing ], at byte 32; take it out"),
        ('{"id": 1}', "not a JSON array .*use kind jsonl"),
    ],
)
def test_a_file_that_fails_as_a_whole_is_one_error(tmp_path, content, message):
    (tmp_path / "pool.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SourceError, match=f"pool.json.*{message}"):
        read_pool([source("llava_json", tmp_path / "pool.json", tmp_path)])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{id: 2}", "is not JSON: record 2, at byte 21: Expecting property name"),
        (b'{"id": "\xff"}', "is not JSON: record 2, at byte 21: 'utf-8' codec"),
        ("[" * 100_000 + "]" * 100_000, "record 2, at byte 21, is nested too deeply"),
        ("nonsense", "record 2, at byte 21: Expecting value"),
    ],
)
def test_a_record_that_is_not_json_is_left_out_by_itself(tmp_path, record, message):
    whole, wrong = b'{"image": "a.jpg"}', record.encode() if isinstance(record, str) else record
    (tmp_path / "pool.json").write_bytes(b"[" + b", ".join([whole, wrong, whole]) + b"]")
    pool = source("llava_json", tmp_path / "pool.json", tmp_path, constant="t")
    _, left_out, _ = read_pool([pool])
    assert isinstance(left_out, RejectedRecord)
    assert (left_out.record_id, left_out.reason) == ("#2", "invalid_record")
    assert message in left_out.detail


@pytest.mark.parametrize("kind", ["llava_json", "jsonl", "parquet", "webdataset", "image_folder"])
def test_a_missing_file_is_named(tmp_path, kind):
    with pytest.raises(SourceError, match=rf"source {tmp_path}/nothing: .*correct sources\.path"):
        read_pool([source(kind, tmp_path / "nothing", tmp_path)])


@pytest.mark.parametrize("kind", ["llava_json", "jsonl", "parquet", "webdataset"])
def test_a_pattern_without_a_match_is_named(tmp_path, kind):
    with pytest.raises(SourceError, match="no file matches"):
        read_pool([source(kind, f"{tmp_path}/*.none", tmp_path)])


def test_a_protocol_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"source nowhere://a\.json: cannot be opened"):
        read_pool([source("llava_json", "nowhere://a.json", tmp_path)])


def test_jsonl_counts_broken_lines_and_skips_blank_ones(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "1", "image": "1.jpg"}\n\n{"id": "2", "im\n"text"\n{"image": "x/3.jpg"}')
    (tmp_path / "b.jsonl").write_text('{"id": "4", "image": "4.jpg"}\n')
    pool = source("jsonl", f"{tmp_path}/*.jsonl", tmp_path, constant="all")
    assert [(entry.record_id, entry.task) for entry in records(pool)] == [
        ("1", "all"),
        ("x/3.jpg", "all"),
        ("4", "all"),
    ]
    assert rejected(pool) == [("#3", "invalid_record"), ("#4", "invalid_record")]
    (tmp_path / "a.jsonl").write_text("[\n]\nx")
    (tmp_path / "b.jsonl").write_text("{\n}")
    with pytest.raises(SourceError, match=r"b\.jsonl is not JSON Lines: none of its 2 lines"):
        read_pool([source("jsonl", tmp_path / "b.jsonl", tmp_path, constant="all")])


def test_parquet_has_columns_as_llava_json_has_fields(tmp_path):
    talk = [{"from": "human", "value": "q"}]
    table = pa.table(
        {
            "id": pa.array([1, 2, 3, 4]),
            "image": pa.array(["a.jpg", None, None, "../x.jpg"]).dictionary_encode(),
            "conversations": [None, talk, None, None],
            "kind": ["vqa", "vqa", "vqa", "vqa"],
            "unused": [b"x"] * 4,
        }
    )
    pq.write_table(table, tmp_path / "pool.parquet")
    pool = source("parquet", tmp_path / "pool.parquet", tmp_path, field="kind")
    assert [(entry.record_id, entry.task, entry.image) for entry in records(pool)] == [("1", "vqa", "a.jpg")]
    assert rejected(pool) == [("2", "text_only"), ("3", "invalid_record"), ("4", "outside_root")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a.jpg"]}, r"has no column 'image' with the path; its columns are \['path'\]"),
        ({"image": [{"bytes": b"x", "path": "a.jpg"}]}, "must hold paths"),
        ({"image": [b"x"]}, "must hold paths"),
    ],
)
def test_a_parquet_without_image_paths_is_named(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "pool.parquet")
    with pytest.raises(SourceError, match=message):
        read_pool([source("parquet", tmp_path / "pool.parquet", tmp_path)])


def test_a_parquet_that_was_cut_off_is_named(tmp_path):
    pq.write_table(pa.table({"image": ["a.jpg"] * 1000}), tmp_path / "pool.parquet")
    data = (tmp_path / "pool.parquet").read_bytes()
    (tmp_path / "pool.parquet").write_bytes(data[:-10])
    with pytest.raises(SourceError, match=r"pool\.parquet: it is not a whole Parquet file"):
        read_pool([source("parquet", tmp_path / "pool.parquet", tmp_path)])


def test_an_image_folder_is_listed_sorted_with_the_task_from_the_folder(tmp_path):
    for name in ("cats/b.jpg", "cats/deep/a.jpg", "dogs/a.jpg", "top.jpg"):
        (tmp_path / "pool" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pool" / name).touch()
    (tmp_path / "pool" / "linked").symlink_to(tmp_path)
    (tmp_path / "pool" / "cats" / "bad\udcff.jpg").touch()
    pool = source("image_folder", tmp_path / "pool", tmp_path / "pool", prefix=True)
    assert [(entry.record_id, entry.task) for entry in records(pool)] == [
        ("cats/b.jpg", "cats"),
        ("cats/deep/a.jpg", "cats"),
        ("dogs/a.jpg", "dogs"),
    ]
    assert rejected(pool) == [
        ("cats/bad\\udcff.jpg", "invalid_record"),
        ("linked", "not_a_file"),
        ("top.jpg", "invalid_record"),
    ]
    below = source("image_folder", tmp_path / "pool" / "dogs", tmp_path / "pool", prefix=True)
    assert [entry.uri for entry in records(below)] == [f"{tmp_path}/pool/dogs/a.jpg"]


def test_an_image_folder_outside_its_root_is_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(SourceError, match="not inside image_root"):
        read_pool([source("image_folder", tmp_path / "a", tmp_path / "b", prefix=True)])


def test_an_image_folder_may_be_remote(memory_url):
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({f"{memory_url}/cats/a.jpg": b"x", f"{memory_url}/dogs/b.jpg": b"x"})
    pool = source("image_folder", memory_url, memory_url, prefix=True)
    assert [(entry.uri, entry.task) for entry in records(pool)] == [
        (f"{memory_url}/cats/a.jpg", "cats"),
        (f"{memory_url}/dogs/b.jpg", "dogs"),
    ]


def test_webdataset_members_are_addressed_where_they_lie(tmp_path):
    write_shard(
        tmp_path / "vqa-000.tar",
        {
            "a/one.png": png(1),
            "a/one.json": json.dumps({"id": "first", "task": "count"}).encode(),
            "b/two.json": json.dumps({"task": "read"}).encode(),
            "b/two.PNG": png(2),
        },
    )
    write_shard(tmp_path / "vqa-001.tar", {"a/one.png": png(3), "a/one.json": b'{"task": "count"}'})
    pool = source("webdataset", f"{tmp_path}/vqa-{{000..001}}.tar", "unused")
    found = records(pool)
    assert [(entry.record_id, entry.task, entry.image) for entry in found] == [
        ("first", "count", "vqa-000.tar/a/one.png"),
        ("vqa-000.tar/b/two", "read", "vqa-000.tar/b/two.PNG"),
        ("vqa-001.tar/a/one", "count", "vqa-001.tar/a/one.png"),
    ]
    assert [read_image_bytes(entry.uri) for entry in found] == [png(1), png(2), png(3)]
    assert load_image(found[0].uri, image_sha="", pixel_limit=10_000).size == (64, 48)
    by_folder = source("webdataset", f"{tmp_path}/*.tar", "unused", prefix=True)
    assert [entry.task for entry in records(by_folder)] == ["a", "b", "a"]
    by_shard = source("webdataset", f"{tmp_path}/*.tar", "unused", pattern=r"^(?P<task>\w+)-\d+\.tar/")
    assert [entry.task for entry in records(by_shard)] == ["vqa"] * 3


def test_webdataset_groups_that_make_no_record_are_counted(tmp_path):
    members = {
        "left_right.l.png": png(1),
        "left_right.r.png": png(2),
        "talk.json": b'{"conversations": [{"value": "hi"}]}',
        "drawing.svg": b"<svg/>",
        "badjson.png": png(3),
        "badjson.json": b"{",
        "list.png": png(3),
        "list.json": b"[]",
        "bad\udcff.png": png(3),
    }
    write_shard(tmp_path / "s.tar", members)
    with tarfile.open(tmp_path / "s.tar", "a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    pool = source("webdataset", tmp_path / "s.tar", "unused", constant="t")
    assert rejected(pool) == [
        ("s.tar/left_right", "invalid_record"),
        ("s.tar/talk", "text_only"),
        ("s.tar/drawing", "unsupported"),
        ("s.tar/badjson", "invalid_record"),
        ("s.tar/list", "invalid_record"),
        ("s.tar/bad\\udcff", "invalid_record"),
        ("s.tar/link", "not_a_file"),
    ]


def test_a_shard_that_was_cut_off_gives_what_it_has(tmp_path):
    write_shard(tmp_path / "s.tar", {"a.png": png(1), "b.png": png(2), "c.png": png(3)})
    data = (tmp_path / "s.tar").read_bytes()
    (tmp_path / "s.tar").write_bytes(data[: data.index(png(3)) + 100])
    pool = source("webdataset", tmp_path / "s.tar", "unused", constant="t")
    assert [entry.record_id for entry in records(pool)][:2] == ["s.tar/a", "s.tar/b"]
    assert rejected(pool) == [("", "corrupt")]


@pytest.mark.parametrize(("mode", "message"), [("w:gz", "decompress it"), ("w:xz", "decompress it")])
def test_a_compressed_shard_is_refused(tmp_path, mode, message):
    with tarfile.open(tmp_path / "s.tar", mode) as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(SourceError, match=rf"s\.tar is not an uncompressed tar file .*{message}"):
        read_pool([source("webdataset", tmp_path / "s.tar", "unused", constant="t")])


def test_shards_may_be_remote(tmp_path, memory_url):
    write_shard(tmp_path / "s.tar", {"a.png": png(1), "b.png": png(2)})
    fsspec.filesystem("memory").pipe(f"{memory_url}/s.tar", (tmp_path / "s.tar").read_bytes())
    found = records(source("webdataset", f"{memory_url}/*.tar", "unused", constant="t"))
    assert [read_image_bytes(entry.uri) for entry in found] == [png(1), png(2)]
