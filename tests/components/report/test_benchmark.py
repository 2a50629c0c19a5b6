import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components import schemas
from components.report.benchmark import AVERAGE, benchmark_scores, differences
from components.report.example_answers import example_sets
from components.report.inputs import BenchmarkRun
from components.report.thumbnails import ThumbnailFormat
from tests.components.report.synthetic import make_inputs


def benchmark_run(name: str, scores: list[float], *, metric: float | None = None, turns: int = 1) -> BenchmarkRun:
    rows = len(scores)
    predictions = pa.table(
        {
            "set": ["s"] * rows,
            "record_id": [str(index // turns) for index in range(rows)],
            "turn": [index % turns for index in range(rows)],
            "image": [""] * rows,
            "question": ["?"] * rows,
            "references": [["a"]] * rows,
            "prediction": ["a" if score else "b" for score in scores],
            "score": scores,
        },
        schemas.PREDICTIONS,
    )
    score = float(np.mean(scores)) if metric is None else metric
    metrics = pa.table(
        {"set": ["s"], "metric": ["exact_match"], "score": [score], "questions": [rows], "left_out": [0]},
        schemas.METRICS,
    )
    return BenchmarkRun(name, metrics, predictions)


def test_differences_keep_the_questions_of_a_record_together():
    """Ten records of four questions that stand or fall together tell as much as ten questions."""
    tuned, random = ([1.0] * 4 * right + [0.0] * 4 * (10 - right) for right in (7, 4))
    apart = differences(benchmark_run("tuned", tuned), benchmark_run("random", random), ("s",))[AVERAGE]
    together = differences(benchmark_run("tuned", tuned, turns=4), benchmark_run("random", random, turns=4), ("s",))[
        AVERAGE
    ]
    single = differences(benchmark_run("tuned", tuned[::4]), benchmark_run("random", random[::4]), ("s",))[AVERAGE]
    assert apart.difference == together.difference == pytest.approx(0.3)
    assert (together.low, together.high) == pytest.approx((single.low, single.high))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_sets_that_one_model_has_no_score_for_have_no_difference():
    found = differences(benchmark_run("tuned", [1, 0]), benchmark_run("random", [1, 0], metric=math.nan), ())
    assert found == {}


def test_scores_are_in_the_order_of_the_models():
    inputs = make_inputs(baselines=("random", "full"), sets=("color", "shape"))
    scores = benchmark_scores(inputs.benchmarks)
    assert scores.models == ("base", "random", "tuned", "full")
    assert [row.name for row in scores.sets] == ["color", "shape"]
    own = {run.name: run.metrics["score"].to_pylist() for run in inputs.benchmarks}
    for at, row in enumerate(scores.sets):
        assert row.scores == tuple(own[model][at] for model in scores.models)
        assert row.over_base is not None
        assert row.over_base.difference == pytest.approx(own["tuned"][at] - own["base"][at])
        assert row.over_base.low < row.over_base.difference < row.over_base.high
        assert row.relative == pytest.approx(own["tuned"][at] / own["full"][at])
    average = scores.average
    assert average is not None
    assert average.over_random is not None
    assert scores.mean_of("tuned") == pytest.approx(np.mean(own["tuned"]))
    assert average.over_random.difference == pytest.approx(np.mean(own["tuned"]) - np.mean(own["random"]))
    assert average.relative == pytest.approx(np.mean([row.relative for row in scores.sets]))
    assert (average.questions, scores.averaged) == (240, 2)


def test_a_set_without_a_score_is_not_in_the_average():
    runs = make_inputs(sets=("color", "shape")).benchmarks
    broken = [
        BenchmarkRun(run.name, with_score(run.metrics, [math.nan, 0.5]), run.predictions)
        if run.name == "random"
        else run
        for run in runs
    ]
    scores = benchmark_scores(tuple(broken))
    assert scores.averaged == 1
    color, shape = scores.sets
    assert math.isnan(color.scores[1])
    assert color.over_random is None
    assert color.over_base is not None
    assert shape.over_random is not None
    assert scores.average is not None
    assert scores.average.over_random is not None
    assert scores.average.over_random.questions == shape.questions


def with_score(metrics: pa.Table, scores: list[float]) -> pa.Table:
    return metrics.set_column(2, schemas.METRICS.field("score"), pa.array(scores))


def test_nothing_measured_is_nothing_to_show():
    scores = benchmark_scores(())
    assert (scores.models, scores.sets, scores.average) == ((), (), None)
    assert math.isnan(scores.mean_of("tuned"))


def test_questions_that_share_an_id_are_not_mixed_up():
    """Sets whose ids are those of the images ask several questions under one."""
    runs = []
    for name, answers in (("base", ["cat", "two"]), ("tuned", ["dog", "three"])):
        bare = benchmark_run(name, [0.0, 1.0])
        columns = {"record_id": ["7", "7"], "turn": [0, 0], "question": ["What?", "How many?"], "prediction": answers}
        table = bare.predictions.to_pydict() | columns
        runs.append(replace(bare, predictions=pa.table(table, schemas.PREDICTIONS)))
    inputs = replace(make_inputs(), benchmarks=tuple(runs))
    size = ThumbnailFormat(8, 80)
    (found,) = example_sets(inputs, per_set=5, image_loader=lambda *_: Image.new("RGB", (8, 8)), size=size)
    shown = {one.question: (one.before.text if one.before else "", one.after.text) for one in found.examples}
    assert shown == {"What?": ("cat", "dog"), "How many?": ("two", "three")}
