import json
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from components.compute.local import LocalEngine
from components.instructions.existing.annotation_index import AnnotationFileError
from components.instructions.existing.provider import ExistingInstructions
from components.instructions.open_provider import open_provider
from components.instructions.provider import Answer, Failure
from components.instructions.request import identify_request
from components.parameters.instructions import AnnotationFile
from components.pool.samples import Turn
from tests.components.instructions.conftest import (
    SOURCE,
    RecordingBook,
    conversation,
    instruction_parameters,
    purchase_parameters,
)
from tests.components.pool.conftest import source

POOL = (source("llava_json", SOURCE, "images", field="task"),)


def ask(provider, *requests):
    identified = [
        identify_request(request, specification)
        for request, specification in zip(requests, provider.specify(requests), strict=True)
    ]
    book = RecordingBook()
    provider.ask(identified, book=book)
    assert [send.request for send in book.sends] == identified
    assert [one.request_id for one in book.outcomes] == [one.request_id for one in identified]
    return book.outcomes


def existing(*files, price=0.5):
    return ExistingInstructions(files, POOL, price_per_instruction_usd=price)


def test_reads_the_instruction_of_a_sample(write_annotations, request_for):
    file = write_annotations(
        [
            {
                "id": "a",
                "image": "a.png",
                "task": "color",
                "conversations": conversation("<image>\nHue?", "red"),
            },
            {
                "id": "b",
                "image": "b.png",
                "task": "color",
                "conversations": conversation("<image>\nHue?", "blue"),
            },
        ]
    )
    (answer,) = ask(existing(file), request_for("b.png"))
    assert isinstance(answer, Answer)
    assert answer.turns == (Turn("Hue?", "blue"),)
    assert (answer.price_usd, answer.model) == (0.5, file.path)
    assert json.loads(answer.raw_text)["id"] == "b"


def test_records_of_one_sample_are_joined_in_file_order_and_counted_once(write_annotations, request_for):
    first = {"id": "a2", "image": "a.png", "conversations": conversation("one", "1")}
    second = {"id": "a1", "image": "a.png", "conversations": conversation("two", "2", "three", "3")}
    files = write_annotations([first, second]), write_annotations([second], "more.json")
    (answer,) = ask(existing(*files), request_for("a.png", "a1", "a2"))
    assert answer.turns == (Turn("one", "1"), Turn("two", "2"), Turn("three", "3"))
    assert answer.price_usd == 0.5


def test_same_id_of_another_image_or_task_is_not_taken(write_annotations, request_for):
    file = write_annotations(
        [
            {"id": "1", "image": "b.png", "task": "color", "conversations": conversation("q", "of b")},
            {
                "id": "1",
                "image": "a.png",
                "task": "shape",
                "conversations": conversation("q", "of the shape"),
            },
            {"id": "1", "image": "a.png", "task": "color", "conversations": conversation("q", "right")},
        ]
    )
    (answer,) = ask(existing(file), request_for("a.png", "1"))
    assert answer.turns == (Turn("q", "right"),)


def test_an_exact_copy_under_another_path_is_the_same_image(write_annotations, request_for):
    file = write_annotations([{"id": "copy", "image": "a-copy.png", "conversations": conversation("q", "r")}])
    (answer,) = ask(existing(file), request_for("a.png", "a", "copy"))
    assert answer.turns == (Turn("q", "r"),)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"id": "z", "image": "a.png", "conversations": conversation("q", "r")}, "no_annotation"),
        ({"id": "a", "image": "a.png", "task": "color"}, "no_annotation"),
        ({"id": "a", "image": "b.png", "conversations": conversation("q", "r")}, "other_image"),
        (
            {"id": "a", "image": "../images/../../a.png", "conversations": conversation("q", "r")},
            "other_image",
        ),
        ({"id": "a", "image": ["a.png", "b.png"], "conversations": conversation("q", "r")}, "other_image"),
        ({"id": "a", "image": "a.png", "task": 5, "conversations": conversation("q", "r")}, "other_task"),
        ({"id": "a", "image": "gone.png", "conversations": conversation("q", "r")}, "other_image"),
        (
            {"id": "a", "image": "a.png", "task": "count", "conversations": conversation("q", "r")},
            "other_task",
        ),
        ({"id": "a", "image": "a.png", "conversations": []}, "no_conversation"),
        ({"id": "a", "image": "a.png", "conversations": conversation("q", "")}, "empty_response"),
        ({"id": "a", "image": "a.png", "conversations": conversation("q")}, "turn_order"),
        ({"id": "a", "image": "a.png", "conversations": conversation("q", 4)}, "not_text"),
    ],
)
def test_what_fails_has_a_fixed_reason_and_no_price(write_annotations, request_for, record, reason):
    (failure,) = ask(existing(write_annotations([record])), request_for("a.png"))
    assert isinstance(failure, Failure)
    assert failure.reason == reason
    assert failure.detail
    assert failure.price_usd == 0


@pytest.mark.parametrize("broken", [conversation("q", ""), conversation("q"), conversation("q", 4), [], None, "text"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_record_is_left_out_and_noted_and_the_others_count(write_annotations, request_for, broken, place):
    said = [conversation("q1", "r1"), conversation("q2", "r2")]
    said.insert(place, broken)
    file = write_annotations(
        [{"id": f"a{number}", "image": "a.png", "conversations": one} for number, one in enumerate(said)]
    )
    (answer,) = ask(existing(file), request_for("a.png", "a0", "a1", "a2"))
    assert isinstance(answer, Answer)
    assert answer.turns == (Turn("q1", "r1"), Turn("q2", "r2"))
    assert f"'a{place}'" in answer.note


def test_a_sample_whose_records_are_all_broken_fails(write_annotations, request_for):
    records = [{"id": "a", "image": "a.png", "conversations": conversation("q", text)} for text in ("", 4)]
    (failure,) = ask(existing(write_annotations(records)), request_for("a.png"))
    assert isinstance(failure, Failure)
    assert failure.reason == "empty_response"


def test_the_identity_is_that_of_what_is_usable(write_annotations, request_for):
    good = {"id": "a", "image": "a.png", "conversations": conversation("q", "r")}
    (alone,) = existing(write_annotations([good])).specify([request_for("a.png")])
    broken = good | {"conversations": conversation("q", "")}
    (beside,) = existing(write_annotations([good, broken])).specify([request_for("a.png")])
    (failed,) = existing(write_annotations([broken])).specify([request_for("a.png")])
    assert alone == beside != failed


def test_a_record_without_an_id_is_found_by_the_rule_of_ingest(write_annotations, request_for):
    records = [
        {"image": "a.png", "conversations": conversation("q", "of a")},
        {"id": None, "image": ["b.png"], "conversations": conversation("q", "of b")},
        {
            "id": 7.0,
            "images": ["c.png"],
            "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}],
        },
    ]
    answers = ask(
        existing(write_annotations(records)),
        request_for("a.png", "a.png"),
        request_for("b.png", "b.png"),
        request_for("c.png", "7"),
    )
    assert [answer.turns[0].response for answer in answers] == ["of a", "of b", "r"]


@pytest.mark.parametrize(
    "rule", [{"field": "source"}, {"prefix": True}, {"pattern": "(?P<task>.)"}, {"constant": "color"}]
)
def test_a_task_is_compared_by_the_rule_of_the_source_alone(write_annotations, request_for, rule):
    record = {"id": "a", "image": "a.png", "source": "color", "task": "other", "conversations": conversation("q", "r")}
    other = record | {"source": "shape", "conversations": conversation("q", "of the shape")}
    provider = ExistingInstructions(
        [write_annotations([record, other] if "field" in rule else [record])],
        (source("llava_json", SOURCE, "images", **rule),),
        price_per_instruction_usd=0.5,
    )
    (answer,) = ask(provider, request_for("a.png"))
    assert answer.turns == (Turn("q", "r"),)


def test_system_turns_are_skipped(write_annotations, request_for):
    said = [{"from": "system", "value": "Be brief."}, *conversation("q", "r")]
    plain, with_system = (
        existing(write_annotations([{"id": "a", "image": "a.png", "conversations": one}])).specify(
            [request_for("a.png")]
        )
        for one in (conversation("q", "r"), said)
    )
    assert plain == with_system
    record = {"id": "a", "image": "a.png", "conversations": said}
    (answer,) = ask(existing(write_annotations([record])), request_for("a.png"))
    assert answer.turns == (Turn("q", "r"),)


def test_the_identity_follows_the_content_of_the_annotation(write_annotations, request_for, tmp_path):
    def record(response: str) -> dict[str, object]:
        return {"id": "a", "image": "a.png", "conversations": conversation("q", response)}

    request = request_for("a.png")
    (first,) = existing(write_annotations([record("r")])).specify([request])
    (moved,) = existing(
        write_annotations([{"id": "b"}, record("r") | {"note": "laid out differently"}], "moved.json")
    ).specify([request])
    (corrected,) = existing(write_annotations([record("another")])).specify([request])
    assert first == moved
    assert first != corrected


def test_a_file_that_is_missing_or_broken_is_one_clear_error(write_annotations, request_for, tmp_path):
    missing = AnnotationFile(path=str(tmp_path / "none.json"), image_root=".")
    with pytest.raises(AnnotationFileError, match=r"none\.json"):
        existing(missing).specify([request_for("a.png")])
    (tmp_path / "cut.json").write_text('[{"id": "a", ')
    cut = AnnotationFile(path=str(tmp_path / "cut.json"), image_root=".")
    with pytest.raises(AnnotationFileError, match=r"cut\.json.*ends early"):
        existing(cut).specify([request_for("a.png")])
    (tmp_path / "cut.json").write_text("[7, 8]")
    with pytest.raises(AnnotationFileError, match=r"cut\.json.*not a list of records: at byte 1 is b'7'"):
        existing(cut).specify([request_for("a.png")])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("7", "is not a list of records: at byte"),
        ('{"id": "x" "image": 1}', "expected ',' or '}'"),
        ('{"id": nonsense, "image": "b.png"}', "field 'id': Expecting value"),
        ('{"id": "\\ud8"}', "field 'id': Invalid"),
        ("{id: 1}", "expected a string"),
    ],
)
def test_a_record_that_cannot_be_read_costs_no_other(image_root, request_for, tmp_path, wrong, message):
    good = [
        json.dumps({"id": name[0], "image": name, "conversations": conversation("q", name)})
        for name in ("a.png", "c.png")
    ]
    (tmp_path / "some.json").write_text(f"[{good[0]}, {wrong}, {good[1]}]")
    provider = existing(AnnotationFile(path=str(tmp_path / "some.json"), image_root=str(image_root)))
    answers = ask(provider, request_for("a.png"), request_for("c.png"))
    assert [one.turns for one in answers] == [(Turn("q", "a.png"),), (Turn("q", "c.png"),)]
    (count,) = provider.counts()
    assert (count.records, count.usable, len(count.faults)) == (3, 2, 1)
    assert message in count.faults[0]


def test_wherever_a_file_is_cut_the_records_before_count_and_the_cut_is_said(image_root, request_for, tmp_path):
    record = {"id": "a", "image": "a.png", "conversations": conversation("q", "r")}
    text = json.dumps([record, {**record, "id": "b", "image": "b.png"}])
    for length in range(len(json.dumps([record])) - 1, len(text)):
        (tmp_path / "cut.json").write_text(text[:length])
        provider = existing(AnnotationFile(path=str(tmp_path / "cut.json"), image_root=str(image_root)))
        (answer,) = ask(provider, request_for("a.png"))
        assert answer.turns == (Turn("q", "r"),)
        (count,) = provider.counts()
        assert "ends early" in count.faults[-1]
        assert count.records == count.usable + len(count.faults)


def test_a_file_that_changes_after_it_was_indexed_is_noticed(write_annotations, request_for, tmp_path):
    record = {"id": "a", "image": "a.png", "conversations": conversation("q", "r")}
    provider = existing(write_annotations([{"id": "b", "image": "b.png"}, record]))
    provider.specify([request_for("a.png")])
    write_annotations([record])
    with pytest.raises(AnnotationFileError, match="changed while"):
        provider.specify([request_for("a.png")])


class _WatchedFileSystem(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """Files in memory; notes which byte ranges are read and how often a whole file is opened."""

    protocol = "watched"
    store: dict[str, Any] = {}  # noqa: RUF012 -- fsspec's own pattern: one store of the class
    pseudo_dirs = [""]  # noqa: RUF012
    ranges: list[tuple[int, int]] = []  # noqa: RUF012
    opened = 0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("watched://", "memory://"))

    def _open(self, path, mode="rb", **kwargs):
        type(self).opened += mode == "rb"
        return super()._open(path, mode, **kwargs)

    def cat_file(self, path, start=None, end=None, **kwargs):
        type(self).ranges.append((start, end))
        return super().cat_file(path, start=start, end=end, **kwargs)


@pytest.fixture
def watched() -> Iterator[type[_WatchedFileSystem]]:
    fsspec.register_implementation("watched", _WatchedFileSystem, clobber=True)
    _WatchedFileSystem.store.clear()
    _WatchedFileSystem.ranges.clear()
    _WatchedFileSystem.opened = 0
    yield _WatchedFileSystem
    _WatchedFileSystem.store.clear()


def test_no_other_instruction_is_read(watched, image_root, request_for):
    """Annotations of images that were not chosen are never parsed, and their bytes are not read again.

    They are poisoned: not JSON inside their brackets, so whoever parses one fails.
    """
    good = json.dumps({"id": "b", "image": "b.png", "conversations": conversation("q", "chosen")})
    data = (
        '[{"id": "a", "image": "a.png", "conversations": [poison {"from"}]},\n'
        + good
        + ',\n{"id": "c", "image": "c.png", "conversations": [{"from": poison}]},\n'
        + '{"conversations": [poison], "id": "d", "image": "d.png"}]'
    ).encode()
    watched().pipe_file("/annotations.json", data)
    provider = existing(AnnotationFile(path="watched://annotations.json", image_root=str(image_root)))

    (answer,) = ask(provider, request_for("b.png"))

    assert answer.turns == (Turn("q", "chosen"),)
    assert watched.opened == 1  # the index pass
    start = data.index(good.encode())
    assert set(watched.ranges) == {(start, start + len(good))}
    (failure,) = ask(provider, request_for("a.png"))
    assert failure.reason == "malformed_json"  # the poison works


def test_the_index_holds_no_conversation(write_annotations, image_root):
    from components.instructions.existing.annotation_index import index_annotations

    file = write_annotations(
        [
            {
                "id": "a",
                "image": "a.png",
                "task": "color",
                "conversations": conversation("secret q", "secret r"),
            }
        ]
    )
    index = index_annotations([file])
    assert list(index.locations) == ["a"]
    assert "secret" not in repr(index)


def test_the_parameters_name_the_provider(write_annotations, request_for):
    file = write_annotations([{"id": "a", "image": "a.png", "conversations": conversation("q", "r")}])
    parameters = instruction_parameters(annotations=(file,), price_per_instruction_usd=0.25)
    provider = open_provider(parameters, purchase_parameters(), pixel_limit=10**6, engine=LocalEngine())
    (answer,) = ask(provider, request_for("a.png"))
    assert (provider.name, answer.price_usd) == ("existing", 0.25)
