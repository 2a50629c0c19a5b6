import io
import json
import tracemalloc
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.pool.json_array import iterate_json_array
from components.pool.records import SourceError


class Dribble(io.BytesIO):
    """A file that hands out a few bytes at a time, so that every border falls everywhere."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self.step = step

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.step)


def entries(file: BinaryIO) -> list[object]:
    return list(iterate_json_array(file, name="pool.json"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=5), st.integers(1, 7), st.sampled_from([None, 1]), st.booleans())
def test_it_yields_what_the_whole_file_decodes_to(values, step, indent, ascii_only):
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return
    assert entries(Dribble(data, step)) == values


@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(1, 7), st.data())
def test_cut_anywhere_it_is_an_error_and_never_a_shorter_list(values, step, data):
    text = json.dumps(values)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(SourceError, match=r"^source pool\.json is cut off: it ends at character \d+"):
        entries(Dribble(cut.encode(), step))


def test_the_message_says_where_it_was_cut():
    whole = json.dumps([{"id": number} for number in range(5)])
    with pytest.raises(SourceError, match=r"ends at character 30, inside record 3 .*\(2 complete records"):
        entries(io.BytesIO(whole[:30].encode()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe garbage", "not UTF-8 text"),
        (b'[{"id": "\xff"}]', "not UTF-8 text"),
        (b"garbage", "is not a JSON list, it starts with 'g'"),
        (b'{"id": 1}\n{"id": 2}\n', "use kind jsonl"),
        (b'[{"id": 1} {"id": 2}]', "record 1, at character 11.*must follow, not '{'"),
        (b'[{"id": 1}, {id: 2}, {"id": 3}]', "record 2, at character 12: Expecting property name"),
        (b'[{"id": 1},]', "record 2"),
        (b"[1] [2]", "something follows the end"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("step", [3, 1 << 20])
def test_what_is_not_a_list_of_records_is_named(data, message, step):
    with pytest.raises(SourceError, match=message):
        entries(Dribble(data, max(step, len(data) // 20)))


def test_a_byte_order_mark_is_no_fault():
    assert entries(io.BytesIO("\ufeff[1, 2]".encode())) == [1, 2]
    assert entries(io.BytesIO(b"[]")) == []


def test_memory_holds_a_piece_of_the_file_not_the_file(tmp_path):
    record = json.dumps({"id": "x", "conversations": [{"value": "word " * 400}]})
    with (tmp_path / "pool.json").open("w") as file:
        file.write("[" + ",\n".join([record] * 15_000) + "]")
    assert (tmp_path / "pool.json").stat().st_size > 30_000_000
    tracemalloc.start()
    with (tmp_path / "pool.json").open("rb") as stream:
        count = sum(1 for _ in iterate_json_array(stream, name="pool.json"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 15_000
    assert peak < 8_000_000
