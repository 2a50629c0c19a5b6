"""Pairing: the same questions or an error that counts the difference."""

import numpy as np
import pytest

from components.promotion.pair_answers import BenchmarkedModel, NotComparableError, pair_answers
from tests.components.promotion.answers import model

TRUTHS = {"a": ["x", "y", "z"], "b": ["yes", "no"]}


def test_scores_are_those_of_the_metrics() -> None:
    good = model("2", {"a": ["x", "y", "q"], "b": ["yes", "no"]}, TRUTHS)
    poor = model("1", {"a": ["x", "q", "q"], "b": ["no", "no"]}, TRUTHS)
    first, second = pair_answers(good, poor)
    assert (first.name, first.questions, second.name) == ("a", 3, "b")
    assert first.challenger.sum(axis=0).tolist() == [2, 3]
    assert first.champion.sum(axis=0).tolist() == [1, 3]
    assert second.champion.sum(axis=0).tolist() == [1, 2]


def test_f1_is_a_ratio_of_sums() -> None:
    truths = {"set": ["yes", "yes", "no", "no", "yes"]}
    one = model("2", {"set": ["yes", "no", "yes", "no", "maybe"]}, truths, metric="yes_no_f1")
    other = model("1", {"set": ["no", "no", "no", "no", "yes"]}, truths, metric="yes_no_f1")
    (paired,) = pair_answers(one, other)
    for side, benchmarked in ((paired.challenger, one), (paired.champion, other)):
        total = side.sum(axis=0)
        assert total[0] / total[1] == pytest.approx(benchmarked.metrics["score"][0].as_py())


def test_questions_of_one_record_stay_together() -> None:
    truths = {"set": ["x"] * 6}
    both = [model(version, {"set": ["x", "q"] * 3}, truths, per_record=2) for version in "21"]
    (paired,) = pair_answers(*both)
    assert paired.questions == 6
    np.testing.assert_array_equal(paired.challenger, [[1, 2]] * 3)


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
        pair_answers(one, other)  # type: ignore[arg-type]  # parametrize knows no types


def test_a_question_that_is_not_asked_any_more_is_left_out_of_both() -> None:
    """Its image came into the pool."""
    truths = {"set": [str(number) for number in range(20)]}
    fewer = {"set": truths["set"][:18]}
    challenger = model("2", {"set": [*fewer["set"][:9], *["q"] * 9]}, fewer)
    champion = model("1", {"set": ["q"] * 18 + ["18", "19"]}, truths)
    (paired,) = pair_answers(challenger, champion)
    assert (paired.questions, len(paired.challenger)) == (18, 18)
    assert paired.champion[:, 0].sum() == 0, "what it alone was asked does not count for it"
    assert paired.challenger[:, 0].sum() == 9
    with pytest.raises(NotComparableError, match="2 questions that version 1 did not"):
        pair_answers(champion_as("2", truths), model("1", {"set": ["q"] * 17}, {"set": truths["set"][:17]}))


def champion_as(version: str, truths: dict[str, list[str]]) -> BenchmarkedModel:
    return model(version, {"set": truths["set"][:19]}, {"set": truths["set"][:19]})
