import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest

from components.benchmark.evaluate import evaluate, judge_set
from components.benchmark.sets import load_benchmark_set
from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.vlm.load import load_vlm
from components.parameters.parameters import VlmParameters
from components.schemas import METRICS, PREDICTIONS
from tests.components.benchmark.conftest import record

MODEL = Path(__file__).parents[3] / "demo" / "models" / "tiny-llava"


@pytest.fixture(scope="module")
def vlm():
    parameters = VlmParameters(
        model=str(MODEL),
        revision=None,
        context_length=160,
        device="cpu",
        dtype="float32",
        max_pixels=None,
        template_arguments={},
    )
    return load_vlm(parameters)


def run(vlm, *sets, training=frozenset(), progress=no_progress):
    return evaluate(
        vlm,
        sets,
        pool_image_shas=training,
        batch_size=2,
        max_new_tokens=3,
        pixel_limit=1000,
        progress=progress,
        engine=LocalEngine(),
    )


def sha(image_root: Path, name: str) -> str:
    return hashlib.sha256((image_root / name).read_bytes()).hexdigest()


def test_predictions_and_scores_of_several_sets(vlm, write_set):
    seen = []
    first = write_set(
        [record("red", "<image>\nHue?", "red", "Sure?", "yes"), record("blue", "Hue?", "blue")], name="first"
    )
    second = write_set([record("green", "Green?", "yes")], metric="yes_no_f1", name="second")
    result = run(vlm, first, second, progress=lambda done, total: seen.append((done, total)))
    assert result.predictions.schema == PREDICTIONS
    assert result.metrics.schema == METRICS
    rows = result.predictions.to_pylist()
    asked = [(row["set"], row["record_id"], row["turn"]) for row in rows]
    assert asked == [("first", "red", 0), ("first", "red", 1), ("first", "blue", 0), ("second", "green", 0)]
    assert rows[1]["references"] == ["yes"]
    assert [row["questions"] for row in result.metrics.to_pylist()] == [3, 1]
    assert seen[-1] == (4, 4)
    assert result.dropped == ()


def test_questions_about_training_images_are_left_out_and_counted(vlm, write_set, image_root):
    # The same bytes under another name are the same image.
    (image_root / "copy.png").write_bytes((image_root / "red.png").read_bytes())
    benchmark_set = write_set([record("copy", "Hue?", "red", "Sure?", "yes"), record("blue", "Hue?", "blue")], name="s")
    result = run(vlm, benchmark_set, training=frozenset({sha(image_root, "red.png")}))
    assert result.predictions["record_id"].to_pylist() == ["blue"]
    (row,) = result.metrics.to_pylist()
    assert (row["questions"], row["left_out"]) == (1, 2)


def test_a_set_without_a_question_left_has_no_score(vlm, write_set, image_root):
    result = run(vlm, write_set([record("red", "Hue?", "red")]), training=frozenset({sha(image_root, "red.png")}))
    (row,) = result.metrics.to_pylist()
    assert math.isnan(row["score"])
    assert (row["questions"], row["left_out"]) == (0, 1)


def test_a_prompt_that_does_not_fit_the_context_is_left_out_and_counted(vlm, write_set):
    benchmark_set = write_set([record("red", "Hue?", "red"), record("blue", "long " * 100, "blue")])
    result = run(vlm, benchmark_set)
    assert result.predictions["record_id"].to_pylist() == ["red"]
    (dropped,) = result.dropped
    assert (dropped.sample_id, dropped.reason) == ("set/blue", "prompt_exceeds_context")


def test_an_image_that_does_not_fit_is_not_called_a_long_prompt(vlm, write_set):
    result = run(replace(vlm, context_length=5), write_set([record("red", "Hue?", "red")]))
    (dropped,) = result.dropped
    assert (dropped.sample_id, dropped.reason) == ("set/red", "image_exceeds_context")


def test_judging_keeps_the_score_of_every_answer(write_set):
    loaded = load_benchmark_set(
        write_set(
            [record("red", "q", "yes"), record("blue", "q", "yes"), record("green", "q", "no")],
            metric="yes_no_f1",
        ),
        pixel_limit=1000,
    )
    predictions, metrics = judge_set(loaded, loaded.questions, ["yes", "no", "yes"], left_out=7)
    assert predictions["score"].to_pylist() == [1, 0, 0]
    assert predictions["prediction"].to_pylist() == ["yes", "no", "yes"]
    (row,) = metrics.to_pylist()
    assert row["score"] == pytest.approx(2 / 4)  # TP 1, FP 1, FN 1
    assert (row["metric"], row["questions"], row["left_out"]) == ("yes_no_f1", 3, 7)
