import io
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.instructions.existing.json_records import JsonRecordsError, scan_json_records

WANTED = frozenset({"id", "image", "task"})
TEXTS = st.text(alphabet=string.printable + '"\\{}[],:é€\U0001f600', max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["id", "image", "task", "conversations", "x"]), VALUES), max_size=5)


def scan(data: bytes, chunk_bytes: int = 7):
    return list(scan_json_records(io.BytesIO(data).read, WANTED, chunk_bytes=chunk_bytes))


@given(RECORDS, st.sampled_from([None, 1]), st.booleans(), st.sampled_from([1, 2, 13, 1 << 20]))
def test_finds_what_the_json_module_finds(records, indent, ascii_only, chunk_bytes):
    data = json.dumps(records, indent=indent, ensure_ascii=ascii_only).encode()
    found = scan(data, chunk_bytes)
    assert [json.loads(data[one.offset : one.offset + one.length]) for one in found] == records
    for one, record in zip(found, records, strict=True):
        assert set(one.fields) == WANTED & set(record)
        for key, text in one.fields.items():
            value = record[key]
            scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
            assert text == (str(value) if scalar else "")


def test_a_value_that_is_not_json_inside_its_brackets_is_passed_over():
    data = b'[{"id": "1", "conversations": [nonsense, {"from" 3}]}, {"id": "2"}]'
    assert [one.fields["id"] for one in scan(data)] == ["1", "2"]


def test_byte_order_mark():
    assert [one.fields["id"] for one in scan(b'\xef\xbb\xbf [ {"id": 7} ] \n', 64)] == ["7"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends early, at byte 0"),
        (b'[{"id": "1"}', "ends early, at byte 12"),
        (b'[{"id": "1", "conversations": [{"from": "hum', "ends early"),
        (b'{"id": "1"}', "byte 0 is"),
        (b"[1, 2]", "byte 1 is '1, 2]'"),
        (b'[{"id": "1"},]', "byte 13"),
        (b'[{"id": "1"} {"id": "2"}]', "byte 13"),
        (b'[{"id": "1"}] tail', "more after the array's end, at byte 13"),
        (b'[{"id" "1"}]', "expected ':'"),
        (b'[{id: "1"}]', "expected a string"),
        (b'[{"id": "\xff"}]', "malformed value at byte 8"),
        (b'[{"id": 1.2.3}]', "malformed value at byte 8"),
        (b'[{"id": }]', "expected a value"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [5, 1 << 20])
def test_says_where_a_file_is_broken(data, message, chunk_bytes):
    with pytest.raises(JsonRecordsError) as error:
        scan(data, chunk_bytes)
    if chunk_bytes > 5 or "is '" not in message:
        assert message in str(error.value)


def test_the_buffer_stays_small():
    record = json.dumps({"id": "x", "conversations": [{"from": "human", "value": "q" * 2000}]}).encode()
    data = b"[" + b",".join([record] * 500) + b"]"
    stream = io.BytesIO(data)
    taken = []

    def read(size: int) -> bytes:
        taken.append(size)
        return stream.read(size)

    assert sum(1 for _ in scan_json_records(read, WANTED, chunk_bytes=4096)) == 500
    assert max(taken) <= 4096 + len(record)
