import gzip
import io
import json
import string
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.pool.json_array import JsonArrayError, scan_json_array

WANTED = frozenset({"id", "image", "task"})
TEXTS = st.text(alphabet=string.printable + '"\\{}[],:é€\U0001f600', max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["id", "image", "task", "conversations", "x"]), VALUES), max_size=5)


class Dribble(io.BytesIO):
    """A file that hands out a few bytes at a time, so that every border falls everywhere."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self.step = step

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.step)


def scan(data: bytes, chunk_bytes: int = 7):
    return list(scan_json_array(Dribble(data, chunk_bytes).read, wanted=WANTED, chunk_bytes=chunk_bytes))


@given(RECORDS, st.sampled_from([None, 1]), st.booleans(), st.sampled_from([1, 2, 13, 1 << 20]))
def test_finds_what_the_json_module_finds(records, indent, ascii_only, chunk_bytes):
    data = json.dumps(records, indent=indent, ensure_ascii=ascii_only).encode()
    found = scan(data, chunk_bytes)
    assert [json.loads(one.raw) for one in found] == records
    assert [data[one.offset : one.offset + len(one.raw)] for one in found] == [one.raw for one in found]
    for one, record in zip(found, records, strict=True):
        assert set(one.fields) == WANTED & set(record)
        assert all(json.loads(raw) == record[key] for key, raw in one.fields.items())


def test_a_buffer_that_ends_behind_an_escape():
    values = [None, {"": None, '0"\x0b': None, "0": "\r"}, ["\\", '"']]
    data = json.dumps(values).encode()
    for step in range(1, len(data)):
        assert [json.loads(one.raw) for one in scan_json_array(Dribble(data, step).read)] == values


@given(st.lists(VALUES, max_size=5), st.integers(1, 7), st.sampled_from([None, 1]), st.booleans())
def test_entries_may_be_any_values(values, step, indent, ascii_only):
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    found = list(scan_json_array(Dribble(data, step).read))
    assert [json.loads(one.raw) for one in found] == values
    assert all(one.fields == {} for one in found)


@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(1, 7), st.sampled_from([(), WANTED]), st.data())
def test_cut_anywhere_it_is_an_error_and_never_a_shorter_array(values, step, wanted, data):
    text = json.dumps(values)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(JsonArrayError, match=rf"^ends early, at byte {len(cut)}, inside entry \d+"):
        list(scan_json_array(Dribble(cut.encode(), step).read, wanted=wanted))


def test_the_message_says_where_it_was_cut():
    whole = json.dumps([{"id": number} for number in range(5)]).encode()
    with pytest.raises(JsonArrayError, match=r"ends early, at byte 30, inside entry 3 .*\(2 complete entries"):
        scan(whole[:30])


def test_a_value_that_is_not_json_inside_its_brackets_is_passed_over():
    data = b'[{"id": "1", "conversations": [nonsense, {"from" 3}]}, {"id": "2"}]'
    assert [one.fields["id"] for one in scan(data)] == [b'"1"', b'"2"']


@pytest.mark.parametrize("chunk_bytes", [1, 64])
def test_byte_order_mark(chunk_bytes):
    assert [one.fields["id"] for one in scan(b'\xef\xbb\xbf [ {"id": 7} ] \n', chunk_bytes)] == [b"7"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe garbage", "not a JSON array in UTF-8: it is text in UTF-16"),
        ("[1]".encode("utf-16-le"), "it is text in UTF-16 or UTF-32"),
        ('{"a": 1}'.encode("utf-16-le"), "it is text in UTF-16 or UTF-32; save it as UTF-8"),
        (gzip.compress(b"[1]", mtime=0), "it is compressed (gzip); decompress it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a git-lfs pointer"),
        (b"<!DOCTYPE html><html></html>", "it is a web page"),
        (b"[1 2]", "byte 3 is"),
        (b"[1, 2] [3]", "more after the array's end, at byte 6"),
        (b"[1,]", "a comma before the closing ], at byte 3"),
        (b"[" * 100_000, "ends early, at byte 100000"),
        (b'[{"id": "1"}', "ends early, at byte 12"),
        (b'[{"id": "1", "conversations": [{"from": "hum', "ends early"),
        (b'{"id": "1"}', "byte 0 is"),
        (b'[{"id": "1"},]', "a comma before the closing ], at byte 13"),
        (b'[{"id": "1"}, \n ]', "a comma before the closing ], at byte 16"),
        (b'[{"id": "1"} {"id": "2"}]', "byte 13"),
        (b'[{"id": "1"}] tail', "more after the array's end, at byte 13"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [5, 1 << 20])
def test_says_where_a_file_is_broken(data, message, chunk_bytes):
    with pytest.raises(JsonArrayError) as error:
        scan(data, max(chunk_bytes, len(data) // 20))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b'{"id" "1"}', "expected ':'"),
        (b'{id: "1"}', "expected a string"),
        (b'{"id": "1",}', "expected a string"),
        (b'{"id": }', "expected a value"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [5, 1 << 20])
def test_an_object_of_wrong_form_is_said_and_does_not_end_the_array(record, message, chunk_bytes):
    before, wrong, after = scan(b'[{"id": "0"}, ' + record + b', {"id": "2"}]', chunk_bytes)
    assert (before.fields["id"], after.fields["id"]) == (b'"0"', b'"2"')
    assert (wrong.raw, wrong.fields) == (record, {})
    assert message in wrong.fault


def test_a_quote_that_is_never_closed_does_not_read_the_whole_file(monkeypatch):
    monkeypatch.setattr("components.pool.json_array._LONGEST_ENTRY", 1000)
    stream = io.BytesIO(b'[{"id": "1}, ' + b"x" * 10_000)
    with pytest.raises(JsonArrayError, match="no end of entry 1 within"):
        list(scan_json_array(stream.read, chunk_bytes=64))
    assert stream.tell() < 3000


def test_the_buffer_stays_small():
    record = json.dumps({"id": "x", "conversations": [{"from": "human", "value": "q" * 2000}]}).encode()
    data = b"[" + b",".join([record] * 500) + b"]"
    stream = io.BytesIO(data)
    taken = []

    def read(size: int) -> bytes:
        taken.append(size)
        return stream.read(size)

    assert sum(1 for _ in scan_json_array(read, chunk_bytes=4096)) == 500
    assert max(taken) <= 4096 + len(record)


def test_memory_holds_a_piece_of_the_file_not_the_file(tmp_path):
    record = json.dumps({"id": "x", "conversations": [{"value": "word " * 400}]})
    with (tmp_path / "pool.json").open("w") as file:
        file.write("[" + ",\n".join([record] * 15_000) + "]")
    assert (tmp_path / "pool.json").stat().st_size > 30_000_000
    tracemalloc.start()
    with (tmp_path / "pool.json").open("rb") as stream:
        count = sum(1 for _ in scan_json_array(stream.read))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 15_000
    assert peak < 8_000_000
