"""The gate: what it promotes and what it says."""

import math

import pytest

from components.benchmark.paired_comparison import ScoreDifference
from components.parameters.parameters import PromotionParameters
from components.promotion.gate import judge_challenger, judge_differences
from tests.components.promotion.answers import model

PROMOTION = PromotionParameters(automatic=True, confidence=0.95, tolerated_loss=0.05)
TRUTHS = {"a": ["x"] * 60, "b": ["x"] * 60}


def answers(right_a: int, right_b: int) -> dict[str, list[str]]:
    return {name: ["x"] * right + ["q"] * (60 - right) for name, right in (("a", right_a), ("b", right_b))}


def test_the_first_model_becomes_champion() -> None:
    verdict = judge_challenger(model("1", answers(0, 0), TRUTHS), None, promotion=PROMOTION, seed=1)
    assert (verdict.outcome, verdict.promotes) == ("first", True)


def test_a_better_model_is_promoted() -> None:
    better, champion = model("2", answers(50, 40), TRUTHS), model("1", answers(30, 40), TRUTHS)
    verdict = judge_challenger(better, champion, promotion=PROMOTION, seed=1)
    assert (verdict.outcome, verdict.promotes, verdict.champion) == ("better", True, "1")
    assert verdict.average is not None
    assert verdict.average.difference == pytest.approx(20 / 60 / 2)
    assert verdict.average.low > 0
    assert "+16.7 points on average" in verdict.reason


def test_an_equal_model_is_not_promoted() -> None:
    equal = [model(version, answers(30, 40), TRUTHS) for version in "21"]
    verdict = judge_challenger(*equal, promotion=PROMOTION, seed=1)
    assert (verdict.outcome, verdict.promotes) == ("not_better", False)
    assert "no gain at 95% confidence" in verdict.reason


def test_a_gain_that_may_be_chance_is_not_promoted() -> None:
    challenger, champion = model("2", answers(31, 40), TRUTHS), model("1", answers(30, 40), TRUTHS)
    assert judge_challenger(challenger, champion, promotion=PROMOTION, seed=1).outcome == "not_better"


def test_a_loss_on_one_set_stops_a_gain_on_average_unless_it_is_tolerated() -> None:
    challenger, champion = model("2", answers(60, 34), TRUTHS), model("1", answers(30, 40), TRUTHS)
    verdict = judge_challenger(challenger, champion, promotion=PROMOTION, seed=1)
    assert (verdict.outcome, verdict.promotes) == ("task_lost", False)
    assert "more than 5 points were lost on b -10.0" in verdict.reason
    generous = PROMOTION.model_copy(update={"tolerated_loss": 0.11})
    assert judge_challenger(challenger, champion, promotion=generous, seed=1).promotes


def test_other_questions_are_said_and_not_promoted() -> None:
    challenger = model("2", answers(60, 60), TRUTHS, prefix="new-")
    verdict = judge_challenger(challenger, model("1", answers(0, 0), TRUTHS), promotion=PROMOTION, seed=1)
    assert (verdict.outcome, verdict.promotes) == ("not_comparable", False)
    assert "cannot be compared" in verdict.reason


def test_the_champion_itself_stays() -> None:
    same = model("3", answers(1, 1), TRUTHS)
    assert judge_challenger(same, same, promotion=PROMOTION, seed=1).outcome == "is_champion"


def test_a_handful_of_questions_promotes_nobody() -> None:
    few = {"a": ["x"] * 4, "b": ["x"] * 5}
    right, wrong = ({name: [word] * len(truth) for name, truth in few.items()} for word in "xq")
    verdict = judge_challenger(model("2", right, few), model("1", wrong, few), promotion=PROMOTION, seed=1)
    assert (verdict.outcome, verdict.promotes) == ("not_comparable", False)
    assert "9 records" in verdict.reason


def test_a_score_that_is_no_number_promotes_nobody() -> None:
    names = ("average", "a")
    fine, broken = (ScoreDifference(name, 60, *[value] * 5) for name, value in zip(names, (0.5, math.nan), strict=True))
    assert judge_differences(fine, (), PROMOTION)[0] == "better"
    assert judge_differences(fine, (broken,), PROMOTION)[0] == "not_comparable"
    assert judge_differences(broken, (fine,), PROMOTION)[0] == "not_comparable"


def test_the_verdict_says_when_not_all_questions_were_asked_of_both() -> None:
    fewer = {"a": TRUTHS["a"], "b": TRUTHS["b"][:-2]}
    challenger = model("2", {"a": ["x"] * 60, "b": answers(0, 40)["b"][:-2]}, fewer)
    verdict = judge_challenger(challenger, model("1", answers(30, 40), TRUTHS), promotion=PROMOTION, seed=1)
    assert verdict.promotes
    total = len(TRUTHS["a"]) + len(TRUTHS["b"])
    assert f"on the {total - 2} questions that both were asked, of {total}" in verdict.reason
