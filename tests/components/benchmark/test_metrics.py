import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.benchmark.judged import set_score
from components.benchmark.metrics import (
    METRICS,
    exact_match,
    judge_answers,
    levenshtein_distance,
    read_number,
    read_yes_no,
    relaxed_accuracy,
    rouge_l,
)
from components.benchmark.metrics import (
    average_normalised_levenshtein_similarity as anls,
)
from components.benchmark.metrics_vqa import normalise_vqa_answer, vqa_accuracy
from components.parameters.parameters import BenchmarkSet

WORDS = st.text(alphabet="ab 1.", max_size=6)


@pytest.mark.parametrize(
    ("answer", "references", "score"),
    [
        (" Red. ", ["red"], 1),
        ("the  red\ncircle", ["The red circle!"], 1),
        ("red", ["blue", "red"], 1),
        ("dark red", ["red"], 0),
        ("", ["red"], 0),
        ("12", ["1 2"], 0),
    ],
)
def test_exact_match(answer, references, score):
    assert exact_match(answer, references) == score


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_vqa_accuracy_of_ten_people(agreeing, score):
    references = ["cat"] * agreeing + [f"other {number}" for number in range(10 - agreeing)]
    assert vqa_accuracy("A cat.", references) == pytest.approx(score)


def test_vqa_accuracy_of_other_numbers_of_references():
    assert vqa_accuracy("Two", ["2", "pair"]) == 1
    assert vqa_accuracy("three", ["2", "pair"]) == 0


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The Cat", "cat"),
        ("two dogs", "2 dogs"),
        ("none", "0"),
        ("1,000", "1000"),
        ("red, blue", "red blue"),
        ("black/white", "black white"),
        ("3.5", "3.5"),
        ("u.s. flag.", "us flag"),
        ("dont know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("they were", "they were"),
        ("a an the", ""),
    ],
)
def test_vqa_normalisation(text, normalised):
    assert normalise_vqa_answer(text) == normalised


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Yes, there is.", "yes"),
        ("no", "no"),
        ("There is not.", "no"),
        ("true", "yes"),
        ("False.", "no"),
        ("No, yes is wrong", "no"),
        ("nothing", None),
        ("", None),
    ],
)
def test_read_yes_no(text, read):
    assert read_yes_no(text) == read


def test_yes_no_f1_by_hand():
    # TP 2, FP 1, FN 1 (said nothing), TN 1: 2 * 2 / (2 * 2 + 1 + 1)
    answers = ["yes", "Yes.", "yes", "maybe", "no"]
    references = [["yes"], ["yes"], ["no"], ["yes"], ["no"]]
    judged = judge_answers("yes_no_f1", answers, references)
    assert [one.score for one in judged] == [1, 1, 0, 0, 1]
    assert set_score(judged) == pytest.approx(4 / 6)


def test_yes_no_f1_without_a_yes():
    truths = [["no"], ["no"]]
    assert set_score(judge_answers("yes_no_f1", ["no", "no"], truths)) == 1
    assert set_score(judge_answers("yes_no_f1", ["no", "perhaps"], truths)) == 0
    assert set_score(judge_answers("yes_no_f1", ["yes", "no"], truths)) == 0


def test_a_reference_that_is_neither_yes_nor_no_is_refused():
    with pytest.raises(ValueError, match="'red'"):
        judge_answers("yes_no_f1", ["yes"], [["red"]])


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("105", "100", 1),
        ("95", "100", 1),
        ("105.1", "100", 0),
        ("-95", "-100", 1),
        ("1,050", "1000", 1),
        ("50%", "0.5", 1),
        ("12%", "12 %", 1),
        ("50", "50%", 0),
        ("0.0", "0", 1),
        ("0.001", "0", 0),
        ("Apples", "apples", 1),
        ("about 100", "100", 0),
        ("nan", "nan", 1),
        ("inf", "100", 0),
    ],
)
def test_relaxed_accuracy(answer, reference, score):
    assert relaxed_accuracy(answer, ["zebra", reference]) == score


def test_read_number():
    assert read_number("1,234.5.") == 1234.5
    assert read_number("12 %") == pytest.approx(0.12)
    assert read_number("ten") is None


@pytest.mark.parametrize(
    ("answer", "references", "score"),
    [
        ("kitten", ["sitting"], 1 - 3 / 7),
        ("Paris", ["paris"], 1),
        ("abcd", ["abxy"], 0),  # distance 0.5 is not below the threshold
        ("abcd", ["zzzz", "abcx"], 0.75),
        ("", [""], 1),
        ("", ["a"], 0),
    ],
)
def test_anls(answer, references, score):
    assert anls(answer, references) == pytest.approx(score)


@given(WORDS, WORDS)
def test_levenshtein_against_the_recursive_definition(first, second):
    @functools.cache
    def slow(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        substituted: int = slow(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(slow(i - 1, j) + 1, slow(i, j - 1) + 1, substituted)

    assert levenshtein_distance(first, second) == slow(len(first), len(second))


def test_rouge_l_by_hand():
    # LCS "the cat the mat" = 4 of 6 reference words and of 5 answer words.
    reference, answer = "the cat sat on the mat", "the cat the red mat"
    precision, recall = 4 / 5, 4 / 6
    assert rouge_l(answer, [reference]) == pytest.approx(2 * precision * recall / (precision + recall))
    assert rouge_l(answer, ["nothing alike", answer]) == 1


@given(
    st.sampled_from([name for name in METRICS if name != "yes_no_f1"]), WORDS, st.lists(WORDS, min_size=1, max_size=10)
)
def test_scores_stay_in_range_and_do_not_depend_on_the_references_order(name, answer, references):
    judge = METRICS[name]
    assert 0 <= judge(answer, references).score <= 1
    assert judge(answer, references).score == pytest.approx(judge(answer, references[::-1]).score)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "yes_no_f1"])
def test_the_score_of_a_set_is_the_mean(name):
    judged = judge_answers(name, ["7", "x"], [["7"], ["yyy"]])
    assert [one.score for one in judged] == [1, 0]
    assert set_score(judged) == 0.5


@pytest.mark.parametrize("name", METRICS)
def test_parameters_take_every_metric(name):
    assert BenchmarkSet(name="a", path="p", image_root="r", metric=name).metric == name


def test_parameters_refuse_what_is_no_metric():
    with pytest.raises(ValueError, match="must be one of exact_match, vqa_accuracy"):
        BenchmarkSet(name="a", path="p", image_root="r", metric="exact")


def test_a_question_without_a_reference_is_refused():
    with pytest.raises(ValueError, match="question 1 has no reference"):
        judge_answers("anls", ["a", "b"], [["a"], []])
