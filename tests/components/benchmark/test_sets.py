import hashlib
import os

import pytest

from components.benchmark.sets import BenchmarkSetError, load_benchmark_set
from components.parameters.parameters import BenchmarkSet
from components.pool.samples import Turn
from tests.components.benchmark.conftest import record

PIXELS = 1000


def test_each_turn_is_a_question_with_the_history_of_the_file(write_set, image_root):
    loaded = load_benchmark_set(write_set([record("red", "<image>\nHue?", "red", "Sure?", "yes")]), pixel_limit=PIXELS)
    first, second = loaded.questions
    assert (first.question, first.history, first.references, first.turn) == ("Hue?", (), ("red",), 0)
    assert (second.question, second.references, second.turn) == ("Sure?", ("yes",), 1)
    assert second.history == (Turn("Hue?", "red"),)
    assert first.uri == str(image_root / "red.png")
    assert first.image_sha == hashlib.sha256((image_root / "red.png").read_bytes()).hexdigest()
    assert loaded.dropped == ()


def test_several_right_answers(write_set):
    loaded = load_benchmark_set(
        write_set(
            [
                record("red", "q", "red", answers=["red", "crimson"]),
                record("green", "q", "a", "q2", "b", answers=[["a"], ["b", "c"]]),
            ]
        ),
        pixel_limit=PIXELS,
    )
    assert [one.references for one in loaded.questions] == [("red", "crimson"), ("a",), ("b", "c")]


def test_answers_of_other_records_alone(write_set):
    """A table of several sources has every column in every record."""
    loaded = load_benchmark_set(
        write_set([record("red", "q", "red", answers=None), record("green", "q", "g", answers=["green"])]),
        pixel_limit=PIXELS,
    )
    assert [one.references for one in loaded.questions] == [("red",), ("green",)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record("x", "q", "r", image="missing.png"), "missing"),
        (record("x", "q", "r", image="broken.png"), "corrupt"),
        (record("x", "q", "r", image="../outside.png"), "outside_root"),
        (record("x", "q", "r", image="link.png"), "outside_root"),
        (record("x", "q", "r", image=5), "no_image"),
        (record("x", "q", "", image="red.png"), "empty_response"),
        (record("x", "q", image="red.png"), "turn_order"),
        (record("x", "q", "\u200b", image="red.png"), "empty_response"),
        (record("x", "half a smile \ud83d", "r", image="red.png"), "not_text"),
        (record("x", "q", "r", image="red.png", answers=["a", "\ud83d"]), "not_text"),
        ({"id": "x", "image": "red.png"}, "no_conversation"),
        (record("x", "q", "r", image="red.png", answers=[]), "invalid_answers"),
        (record("x", "q", "r", image="red.png", answers=[["a"], ["b"]]), "invalid_answers"),
        ("text", "invalid_record"),
    ],
)
def test_a_record_that_cannot_be_asked_is_left_out_and_counted(write_set, bad, reason):
    loaded = load_benchmark_set(write_set([record("red", "q", "r"), bad]), pixel_limit=PIXELS)
    assert len(loaded.questions) == 1
    (dropped,) = loaded.dropped
    assert dropped.reason == reason
    assert dropped.sample_id == ("set/#2" if bad == "text" else "set/x")


def test_an_image_above_the_pixel_limit_is_left_out(write_set):
    with pytest.raises(BenchmarkSetError, match="no usable record"):
        load_benchmark_set(write_set([record("red", "q", "r")]), pixel_limit=100)


@pytest.mark.parametrize(
    ("text", "message"), [("{}", "not a JSON array"), ("[", "ends early"), ("[1,]", "a comma"), (None, "not there")]
)
def test_a_file_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "set.json"
    if text is not None:
        path.write_text(text)
    benchmark_set = BenchmarkSet(name="s", path=str(path), image_root=str(tmp_path), metric="anls")
    with pytest.raises(BenchmarkSetError, match=message):
        load_benchmark_set(benchmark_set, pixel_limit=PIXELS)


def test_a_metric_that_does_not_fit_the_references_is_refused(write_set):
    with pytest.raises(BenchmarkSetError, match=r"record 'red': metric yes_no_f1 does not fit"):
        load_benchmark_set(write_set([record("red", "q", "crimson")], metric="yes_no_f1"), pixel_limit=PIXELS)


def test_ids_and_images_are_found_by_the_rule_of_ingest(write_set):
    plain = record("red", "q", "r")
    nameless = {key: value for key, value in plain.items() if key != "id"}
    listed = {**nameless, "id": 7.0, "image": None, "images": ["green.png"]}
    loaded = load_benchmark_set(write_set([nameless, listed]), pixel_limit=PIXELS)
    assert [one.record_id for one in loaded.questions] == ["red.png", "7"]


def test_links_may_lead_to_further_roots(write_set, tmp_path):
    linked = record("x", "q", "r", image="link.png")
    refused = load_benchmark_set(write_set([record("red", "q", "r"), linked]), pixel_limit=PIXELS)
    assert "list its folder in benchmark.sets.further_roots" in refused.dropped[0].detail
    allowed = write_set([linked]).model_copy(update={"further_roots": (str(tmp_path),)})
    assert len(load_benchmark_set(allowed, pixel_limit=PIXELS).questions) == 1


@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(write_set, image_root):
    os.mkfifo(image_root / "pipe.png")
    loaded = load_benchmark_set(
        write_set([record("red", "q", "r"), record("x", "q", "r", image="pipe.png")]), pixel_limit=PIXELS
    )
    assert [(one.reason, one.sample_id) for one in loaded.dropped] == [("not_a_file", "set/x")]
