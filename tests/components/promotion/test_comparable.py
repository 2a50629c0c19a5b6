"""Pairing: the same questions or an error that counts the difference."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from components.benchmark.paired_comparison import paired_bootstrap
from components.promotion.gate import BenchmarkedModel, NotComparableError, comparable_answers
from components.schemas import METRICS, PREDICTIONS
from tests.components.promotion.answers import model

TRUTHS = {"a": ["x", "y", "z"], "b": ["yes", "no"]}


def test_scores_are_those_of_the_metrics() -> None:
    good = model("2", {"a": ["x", "y", "q"], "b": ["yes", "no"]}, TRUTHS)
    poor = model("1", {"a": ["x", "q", "q"], "b": ["no", "no"]}, TRUTHS)
    first, second = comparable_answers(good, poor)
    assert (first.name, first.questions, second.name) == ("a", 3, "b")
    assert first.first.sum(axis=0).tolist() == [2, 3, 1]
    assert first.second.sum(axis=0).tolist() == [1, 3, 2]
    assert second.second.sum(axis=0).tolist() == [1, 2, 1]


def test_f1_is_a_ratio_of_sums() -> None:
    truths = {"set": ["yes", "yes", "no", "no", "yes"]}
    one = model("2", {"set": ["yes", "no", "yes", "no", "maybe"]}, truths, metric="yes_no_f1")
    other = model("1", {"set": ["no", "no", "no", "no", "yes"]}, truths, metric="yes_no_f1")
    (paired,) = comparable_answers(one, other)
    for side, benchmarked in ((paired.first, one), (paired.second, other)):
        total = side.sum(axis=0)
        assert total[0] / total[1] == pytest.approx(benchmarked.metrics["score"][0].as_py())


def test_questions_of_one_record_stay_together() -> None:
    truths = {"set": ["x"] * 6}
    both = [model(version, {"set": ["x", "q"] * 3}, truths, per_record=2) for version in "21"]
    (paired,) = comparable_answers(*both)
    assert paired.questions == 6
    np.testing.assert_array_equal(paired.first, [[1, 2, 1]] * 3)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            model("1", {"a": ["x", "y", "z"]}, TRUTHS, prefix="other-"),
            "3 questions that version 1 did not, and 3 the",
        ),
        (
            model("1", {"a": ["x", "y"]}, {"a": ["x", "y"]}),
            "1 questions that version 1 did not, and 0 the other way",
        ),
        (model("1", {"a": ["x", "y", "z"]}, {"a": ["x", "y", "Z"]}), "only 2 are the same"),
        (model("1", {"a": ["x"]}, {"a": ["x"]}, metric="anls"), r"a \(exact_match\), version 1 on a \(anls\)"),
        (model("1", {"b": ["yes"]}, {"b": ["yes"]}), r"version 1 on b \(exact_match\)"),
    ],
)
def test_other_questions_cannot_be_compared(other: object, message: str) -> None:
    one = model("2", {"a": ["x", "y", "z"]}, TRUTHS)
    with pytest.raises(NotComparableError, match=message):
        comparable_answers(one, other)  # type: ignore[arg-type]  # parametrize knows no types


def test_a_question_that_is_not_asked_any_more_is_left_out_of_both() -> None:
    """Its image came into the pool."""
    truths = {"set": [str(number) for number in range(20)]}
    fewer = {"set": truths["set"][:18]}
    challenger = model("2", {"set": [*fewer["set"][:9], *["q"] * 9]}, fewer)
    champion = model("1", {"set": ["q"] * 18 + ["18", "19"]}, truths)
    (paired,) = comparable_answers(challenger, champion)
    assert (paired.questions, len(paired.first)) == (18, 18)
    assert paired.second[:, 0].sum() == 0, "what it alone was asked does not count for it"
    assert paired.first[:, 0].sum() == 9
    with pytest.raises(NotComparableError, match="2 questions that version 1 did not"):
        comparable_answers(champion_as("2", truths), model("1", {"set": ["q"] * 17}, {"set": truths["set"][:17]}))


def champion_as(version: str, truths: dict[str, list[str]]) -> BenchmarkedModel:
    return model(version, {"set": truths["set"][:19]}, {"set": truths["set"][:19]})


def test_answers_stored_by_an_earlier_version_are_judged_again() -> None:
    """Whatever their column `score` says: both models are judged by the same metric."""
    truths = {"set": ["yes", "no", "yes", "no"]}
    now = model("2", {"set": ["yes", "no", "no", "no"]}, truths, metric="yes_no_f1")
    stored = pa.table(
        {
            "set": ["set"] * 4,
            "record_id": ["0", "1", "2", "3"],
            "turn": [0] * 4,
            "image": ["0.png", "1.png", "2.png", "3.png"],
            "question": [f"Question {index}?" for index in range(4)],
            "references": [[truth] for truth in truths["set"]],
            "prediction": ["no", "yes", "yes", "perhaps"],
            "score": [0.0, 0.0, 1.0, 0.5],
        }
    )
    (paired,) = comparable_answers(now, replace(now, version="1", predictions=stored.cast(PREDICTIONS)))
    assert paired.first.sum(axis=0).tolist() == [2, 3, 1]
    assert paired.second.sum(axis=0).tolist() == [2, 4, 3]


def test_a_metric_that_is_gone_is_said() -> None:
    both = [model(version, {"set": ["x"]}, {"set": ["x"]}) for version in "21"]
    gone = [replace(one, metrics=one.metrics.set_column(1, "metric", pa.array(["bleu"])).cast(METRICS)) for one in both]
    with pytest.raises(NotComparableError, match=r"measured on set \(bleu\); known are exact_match"):
        comparable_answers(*gone)


def test_a_set_without_a_yes_is_scored_as_the_metric_scores_it() -> None:
    truths = {"set": ["no", "no"]}
    right, wrong = (
        model(version, {"set": ["no", word]}, truths, metric="yes_no_f1") for version, word in (("2", "no"), ("1", "?"))
    )
    average, _ = paired_bootstrap(comparable_answers(right, wrong), resamples=100, confidence=0.9, seed=0)
    assert (average.first, average.second) == (right.metrics["score"][0].as_py(), wrong.metrics["score"][0].as_py())
    assert (average.first, average.second) == (1, 0)
