"""Shards of every make and in every state of damage: what is there is used, what is lost is said."""

import gzip
import io
import json
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.pool.records import PoolRecord, RejectedRecord, SourceError
from components.pool.sources import read_pool
from tests.components.pool.conftest import source

RECORDS = 5
BLOCK = tarfile.BLOCKSIZE


def shard(members, *, layout=tarfile.PAX_FORMAT):
    """A shard in memory: name -> bytes, a text for JSON, or a TarInfo as it is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=layout) as archive:
        for name, data in members:
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def pairs(count=RECORDS):
    """Each record is two headers and two blocks of data: 2,048 bytes."""
    for number in range(count):
        yield f"{number}.jpg", b"\xff\xd8 picture"
        yield f"{number}.json", json.dumps({"task": "t", "id": f"r{number}"}).encode()


def read(tmp_path, data, **rule):
    (tmp_path / "s.tar").write_bytes(data)
    entries = read_pool([source("webdataset", tmp_path / "s.tar", "unused", **(rule or {"field": "task"}))])
    found = [entry for entry in entries if isinstance(entry, PoolRecord)]
    return found, [entry for entry in entries if isinstance(entry, RejectedRecord)]


def overwrite(data, offset, piece):
    return data[:offset] + piece + data[offset + len(piece) :]


THIRD = 2 * 4 * BLOCK  # where the third record begins
WHOLE = shard(pairs())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (overwrite(WHOLE, THIRD + 148, b"0000000\0"), "neither a header nor an archive's end"),
        (overwrite(WHOLE, THIRD, b"\xff" * BLOCK), "neither a header nor an archive's end"),
        (overwrite(WHOLE, THIRD, bytes(BLOCK)), "more follows its end"),
        (overwrite(WHOLE, THIRD, bytes(3 * BLOCK)), "more follows its end"),
        (WHOLE[:THIRD], "without the mark of an archive's end"),
        (WHOLE[: THIRD + 100], "neither a header nor an archive's end"),
        (WHOLE[: THIRD + BLOCK], "inside 2.jpg"),
        (WHOLE[: THIRD + BLOCK + 3], "inside 2.jpg"),
        (shard(pairs(2)) + shard(pairs(3)), "archives joined"),
        (shard(pairs(2)) + b"tail", "more follows its end"),
    ],
)
def test_a_damaged_shard_gives_what_comes_before_and_says_where_it_broke(tmp_path, data, message):
    found, (lost,) = read(tmp_path, data)
    assert [entry.record_id for entry in found] == ["r0", "r1"]
    assert lost.reason == "corrupt"
    assert "damaged or cut off after 2 records" in lost.detail
    assert message in lost.detail


@pytest.mark.parametrize("length", range(0, len(WHOLE), 256))
def test_wherever_a_shard_is_cut_its_records_are_used_or_it_says_so(tmp_path, length):
    (tmp_path / "good.tar").write_bytes(shard([("x.jpg", b"x")]))
    (tmp_path / "s.tar").write_bytes(WHOLE[:length])
    entries = read_pool([source("webdataset", f"{tmp_path}/*.tar", "unused", constant="t")])
    records = [entry for entry in entries if isinstance(entry, PoolRecord)]
    said = [entry for entry in entries if isinstance(entry, RejectedRecord) and entry.reason == "corrupt"]
    # What follows the last member is padding; the first zeros of it are an archive's end.
    assert len(said) == (length <= RECORDS * 4 * BLOCK)
    whole_pictures = sum(length >= number * 4 * BLOCK + BLOCK + len(b"\xff\xd8 picture") for number in range(RECORDS))
    assert len(records) - 1 == whole_pictures


def test_headers_about_headers_without_end_are_damage(tmp_path):
    info = tarfile.TarInfo("a.jpg")
    info.pax_headers = {"comment": "x"}
    many = info.tobuf(tarfile.PAX_FORMAT)[:-BLOCK] * 2000  # without the member's own header
    found, (lost,) = read(tmp_path, shard(pairs())[: RECORDS * 2048] + many)
    assert (len(found), lost.reason) == (RECORDS, "corrupt")
    with pytest.raises(SourceError, match="not an uncompressed tar file"):
        read(tmp_path, many)


def test_a_shard_without_its_padding_is_whole(tmp_path):
    found, lost = read(tmp_path, WHOLE[: RECORDS * 4 * BLOCK + 2 * BLOCK])
    assert (len(found), lost) == (RECORDS, [])


def test_a_file_that_is_no_archive_is_an_error_of_the_source(tmp_path):
    with pytest.raises(SourceError, match=r"not an uncompressed tar file .*copy or write it again"):
        read(tmp_path, b"no tar at all " * 100)
    with pytest.raises(SourceError, match=r"it is compressed \(gzip\)"):
        read(tmp_path, gzip.compress(WHOLE, 0)[:3000])


@pytest.mark.parametrize("prefix", ["./", "/", "../", "a/../", ".//"])
def test_names_are_normalised(tmp_path, prefix):
    data = shard([(f"{prefix}cats/0.jpg", b"x"), (f"{prefix}cats/0.json", b'{"id": "7"}')])
    ((record,), lost) = read(tmp_path, data, prefix=True)
    assert (record.task, record.record_id, record.image, lost) == ("cats", "7", "s.tar/cats/0.jpg", [])


@pytest.mark.parametrize("layout", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_headers_of_the_archive_are_no_records(tmp_path, layout):
    name = "folder/" + "long-" * 60
    ((record,), lost) = read(
        tmp_path, shard([(f"{name}.jpg", b"x"), (f"{name}.json", b"{}")], layout=layout), prefix=True
    )
    assert (record.task, record.image, lost) == ("folder", f"s.tar/{name}.jpg", [])


def test_what_operating_systems_leave_behind_is_no_record(tmp_path):
    folder = tarfile.TarInfo("./cats")
    folder.type = tarfile.DIRTYPE
    members = [
        ("", folder),
        ("./._0.jpg", b"\0\5\x16\7"),
        ("./0.jpg", b"x"),
        ("./._0.json", b"\0\5\x16\7"),
        ("./0.json", b'{"task": "t"}'),
        (".DS_Store", b"x"),
        ("__MACOSX/._0.jpg", b"x"),
        ("Thumbs.db", b"x"),
    ]
    ((record,), lost) = read(tmp_path, shard(members))
    assert (record.record_id, record.task, lost) == ("s.tar/0", "t", [])


def test_the_fields_are_those_of_the_member_called_like_the_key(tmp_path):
    two = [("0.a.json", b'{"task": "wrong"}'), ("0.jpg", b"x"), ("0.json", b'{"task": "right"}')]
    one = [("1.meta.json", b'{"task": "only"}'), ("1.JPG", b"x")]
    unclear = [("2.a.json", b"{}"), ("2.jpg", b"x"), ("2.b.json", b"{}")]
    twice = [("3.json", b"{}"), ("3.jpg", b"x"), ("3.json", b"{}")]
    found, lost = read(tmp_path, shard(two + one + unclear + twice))
    assert [(entry.record_id, entry.task) for entry in found] == [("s.tar/0", "right"), ("s.tar/1", "only")]
    assert [(entry.record_id, entry.reason) for entry in lost] == [
        ("s.tar/2", "invalid_record"),
        ("s.tar/3", "invalid_record"),
    ]
    assert "call it 2.json" in lost[0].detail


def test_members_of_a_key_need_not_be_neighbours(tmp_path):
    members = sorted(pairs(3), key=lambda pair: pair[0].partition(".")[2])
    found, lost = read(tmp_path, shard(members))
    assert [(entry.record_id, entry.task) for entry in found] == [("r0", "t"), ("r1", "t"), ("r2", "t")]
    assert not lost


def test_a_key_ends_at_the_first_dot_but_that_of_a_hidden_file(tmp_path):
    members = [(".hidden.jpg", b"x"), ("a.b/c.d.jpg", b"x"), ("1.5.jpg", b"x"), ("1.6.jpg", b"x"), ("README", b"x")]
    found, lost = read(tmp_path, shard(members), constant="t")
    assert [entry.record_id for entry in found] == ["s.tar/.hidden", "s.tar/a.b/c"]
    assert [(entry.record_id, entry.reason) for entry in lost] == [
        ("s.tar/1", "invalid_record"),
        ("s.tar/README", "unsupported"),
    ]
    assert "the name up to its first dot" in lost[0].detail


@pytest.mark.parametrize(("given", "record_id"), [(7, "7"), (7.0, "7"), (None, "s.tar/0"), ("", "s.tar/0")])
def test_ids_follow_the_rule_of_all_records(tmp_path, given, record_id):
    data = shard([("0.jpg", b"x"), ("0.json", json.dumps({"id": given}).encode())])
    ((record,), _) = read(tmp_path, data, constant="t")
    assert record.record_id == record_id


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=700))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_overwritten_no_record_is_lost_in_silence(tmp_path, offset, piece):
    data = overwrite(WHOLE, offset, piece[: len(WHOLE) - offset])
    try:
        found, lost = read(tmp_path, data, constant="t")
    except SourceError:
        return  # it is no archive any more, and that is said
    assert len(found) == RECORDS or lost


@given(st.binary(max_size=3 * BLOCK))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_follows_a_whole_shard_is_said(tmp_path, tail):
    _, lost = read(tmp_path, WHOLE + tail)
    assert bool(lost) == bool(tail.strip(b"\0"))
