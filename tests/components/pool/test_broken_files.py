"""Record files of every kind, cut off anywhere and with records that cannot be read: nothing is lost in silence."""

import errno
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.pool import source_file
from components.pool.locations import remote_faults
from components.pool.records import PoolRecord, RejectedRecord, SourceError
from components.pool.sources import read_pool
from tests.components.pool.conftest import source

RECORDS = 6
KINDS = ("llava_json", "jsonl", "parquet", "webdataset")
SUFFIX = {"llava_json": "json", "jsonl": "jsonl", "parquet": "parquet", "webdataset": "tar"}


def written(kind, prefix):
    """A file of a kind with some records, as bytes."""
    rows = [{"id": f"{prefix}{number}", "image": f"{prefix}{number}.jpg"} for number in range(RECORDS)]
    if kind == "llava_json":
        return json.dumps(rows).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    buffer = io.BytesIO()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=2)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for row in rows:
            for name, data in ((row["image"], b"picture"), (f"{row['id']}.json", json.dumps(row).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def pool(folder, kind):
    return source(kind, f"{folder}/*.{SUFFIX[kind]}", folder, constant="t")


def cuts(data):
    """Lengths to cut at: some, the first and last of them."""
    return sorted({0, 1, len(data) - 1, *range(0, len(data), max(1, len(data) // 40))})


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_a_file_is_cut_the_other_files_count_and_what_is_lost_is_a_row(tmp_path, kind):
    (tmp_path / f"b.{SUFFIX[kind]}").write_bytes(written(kind, "b"))
    data = written(kind, "a")
    for length in cuts(data):
        (tmp_path / f"a.{SUFFIX[kind]}").write_bytes(data[:length])
        entries = read_pool([pool(tmp_path, kind)])
        found = [entry.image.rpartition("/")[2] for entry in entries if isinstance(entry, PoolRecord)]
        lost = [entry for entry in entries if isinstance(entry, RejectedRecord)]
        before = [name for name in found if name.startswith("a")]
        assert found[len(before) :] == [f"b{number}.jpg" for number in range(RECORDS)]
        assert before == [f"a{number}.jpg" for number in range(len(before))]
        # Lines that are all there are a whole file.
        if len(before) < RECORDS and not (kind == "jsonl" and data[:length].endswith((b"}", b"\n"))):
            assert [(one.source, one.reason) for one in lost] == [(f"{tmp_path}/a.{SUFFIX[kind]}", "corrupt")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_of_one_file_without_a_record_is_one_error(tmp_path, kind):
    data = written(kind, "a")
    for length in (0, 9, 20):
        (tmp_path / f"a.{SUFFIX[kind]}").write_bytes(data[:length])
        with pytest.raises(SourceError, match=rf"a\.{SUFFIX[kind]}: .*copy, download or write it again") as error:
            read_pool([pool(tmp_path, kind)])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_cannot_be_read_is_left_out_by_itself(tmp_path, kind):
    data = written(kind, "a")
    if kind == "parquet":  # `a3` stands there several times, in the data and in statistics
        data = data.replace(b"a3.jpg", b"a\xff.jpg")
    else:
        data = data.replace(b'{"id": "a3"', b'{"id": \xffa3\xff')
    (tmp_path / f"a.{SUFFIX[kind]}").write_bytes(data)
    entries = read_pool([pool(tmp_path, kind)])
    assert [entry.record_id for entry in entries if isinstance(entry, PoolRecord)] == ["a0", "a1", "a2", "a4", "a5"]
    (lost,) = [entry for entry in entries if isinstance(entry, RejectedRecord)]
    assert lost.reason == "invalid_record"


class FailingFile(io.RawIOBase):
    """Gives the first bytes of a file, then what a disk or a network gives."""

    def __init__(self, data, fault):
        super().__init__()
        self.data, self.fault, self.place = data, fault, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self.place = offset + {0: 0, 1: self.place, 2: len(self.data)}[whence]
        return self.place

    def tell(self):
        return self.place

    def readinto(self, view):
        with remote_faults("bucket"):
            if self.place >= 120:
                raise self.fault
        part = self.data[self.place : min(self.place + len(view), 120)]
        view[: len(part)] = part
        self.place += len(part)
        return len(part)


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.EIO, "Input/output error"), TimeoutError("no answer"), OSError("gone"), RuntimeError("gone")],
    ids=["disk", "time", "of no kind", "of another kind"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_or_network_that_fails_is_no_file_that_breaks_off(tmp_path, monkeypatch, kind, fault):
    data = written(kind, "a")
    (tmp_path / f"a.{SUFFIX[kind]}").write_bytes(data)
    monkeypatch.setattr(
        source_file, "open_binary", lambda _: io.BufferedReader(FailingFile(data, fault), buffer_size=64)
    )
    with pytest.raises(SourceError, match=rf"source .*a\.{SUFFIX[kind]}: cannot be read \(.*\); run again"):
        read_pool([pool(tmp_path, kind)])


@pytest.mark.parametrize("kind", ["llava_json", "jsonl"])
def test_a_number_that_is_too_long_costs_its_record_alone(tmp_path, kind):
    data = written(kind, "a")
    data = data.replace(b'"a3"', b"9" * 5000)
    (tmp_path / f"a.{SUFFIX[kind]}").write_bytes(data)
    entries = read_pool([pool(tmp_path, kind)])
    assert [one.record_id for one in entries if isinstance(one, PoolRecord)] == ["a0", "a1", "a2", "a4", "a5"]


def test_a_parquet_file_with_a_damaged_page_gives_the_rows_before(tmp_path):
    data = bytearray(written("parquet", "a"))
    place = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(2).column(0)
    start = place.dictionary_page_offset or place.data_page_offset
    data[start : start + 8] = b"\xff" * 8
    (tmp_path / "a.parquet").write_bytes(data)
    *found, lost = read_pool([pool(tmp_path, "parquet")])
    assert [entry.record_id for entry in found] == ["a0", "a1", "a2", "a3"]
    assert isinstance(lost, RejectedRecord)
    assert "breaks off after 4 rows" in lost.detail


@pytest.mark.parametrize(
    "value",
    [
        pa.scalar(10**12, pa.timestamp("s")),  # in the year 33658
        pa.scalar(1, pa.timestamp("us", tz="Mars/Base")),
        pa.scalar(2**62, pa.duration("s")),
    ],
    ids=["year", "zone", "duration"],
)
def test_a_value_that_python_cannot_hold_costs_its_row_alone(tmp_path, value):
    ids = pa.array([value.value, None], pa.int64()).cast(value.type)
    pq.write_table(pa.table({"image": ["a0.jpg", "a1.jpg"], "id": ids}), tmp_path / "a.parquet")
    lost, found = read_pool([pool(tmp_path, "parquet")])
    assert isinstance(lost, RejectedRecord)
    assert (found.image, lost.record_id, lost.reason) == ("a1.jpg", "#1", "invalid_record")


def test_a_parquet_file_whose_columns_have_no_names_is_a_row(tmp_path):
    (tmp_path / "b.parquet").write_bytes(written("parquet", "b"))
    pq.write_table(pa.table({"image": ["a0.jpg"], "note": ["x"]}), tmp_path / "a.parquet", store_schema=False)
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data.replace(b"note", b"n\xff\xfee"))
    lost, *found = read_pool([pool(tmp_path, "parquet")])
    assert isinstance(lost, RejectedRecord)
    assert (lost.source, lost.reason, len(found)) == (f"{tmp_path}/a.parquet", "corrupt", RECORDS)
