"""A new metric is a function and one line: evaluation, gate and report form its score as it says."""

import pytest

from components.benchmark.evaluate import judge_set
from components.benchmark.judged import Judged
from components.benchmark.metrics import METRICS
from components.benchmark.sets import load_benchmark_set
from components.parameters.parameters import PromotionParameters
from components.promotion.gate import BenchmarkedModel, judge_challenger
from components.report.benchmark import differences
from components.report.inputs import BenchmarkRun
from tests.components.benchmark.conftest import record

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def word_recall(answer, references):
    """Of all words of the references of a set, how many the answers hold: long references weigh more."""
    wanted = references[0].split()
    found = sum(word in answer.split() for word in wanted)
    return Judged(found / len(wanted), found, len(wanted))


@pytest.fixture
def answered(write_set, image_root, monkeypatch):
    monkeypatch.setitem(METRICS, "word_recall", word_recall)
    for index in range(len(WORDS)):
        (image_root / f"{index}.png").write_bytes((image_root / "red.png").read_bytes())
    references = [" ".join(WORDS[: index + 1]) for index in range(len(WORDS))]
    written = write_set([record(str(index), "q", text) for index, text in enumerate(references)], metric="word_recall")
    loaded = load_benchmark_set(written, pixel_limit=1000)

    def answers(words):
        return judge_set(loaded, loaded.questions, [" ".join(words)] * len(WORDS), left_out=0)

    return answers


def test_a_metric_of_ones_own(answered):
    better, poor = answered(WORDS), answered(WORDS[:1])
    asked = len(WORDS) * (len(WORDS) + 1) / 2
    assert [tables[1]["score"][0].as_py() for tables in (better, poor)] == [1.0, len(WORDS) / asked]

    promotion = PromotionParameters(automatic=True, confidence=0.95, tolerated_loss=0.05)
    verdict = judge_challenger(
        BenchmarkedModel("2", *better), BenchmarkedModel("1", *poor), promotion=promotion, seed=1
    )
    assert verdict.promotes
    assert verdict.sets[0].second == pytest.approx(len(WORDS) / asked), "not the mean over questions"

    tuned, base = (
        BenchmarkRun(name, metrics, predictions) for name, (predictions, metrics) in (("tuned", better), ("base", poor))
    )
    shown = differences(tuned, base, ("set",))["set"]
    assert shown.first == 1
    assert shown.second == pytest.approx(len(WORDS) / asked)
    assert 0 < shown.low < shown.difference < shown.high < 1
