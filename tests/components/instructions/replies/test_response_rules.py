import json

import pytest

from components.instructions.prompts import load_template
from components.instructions.replies.language import other_language
from components.instructions.replies.response_rules import RuleBrokenError, conversation_schema, read_response
from components.pool.samples import Turn
from tests.components.instructions.purchases import write_template

GERMAN = "Das Bild zeigt ein rotes Quadrat links oben auf einer weissen Seite und daneben ein Auto."


@pytest.fixture
def template(tmp_path):
    write_template(
        tmp_path, turns={"at_least": 1, "at_most": 2}, response_words={"at_least": 1, "at_most": 20}, language="en"
    )
    return load_template(tmp_path, "t")


def conversation(*turns):
    return json.dumps({"turns": [{"question": question, "response": response} for question, response in turns]})


def test_a_conversation(template):
    text = conversation((" What is it? ", "A cat.\n"), ("Where?", "On a mat."))
    assert read_response(text, template, question="") == (Turn("What is it?", "A cat."), Turn("Where?", "On a mat."))


def test_one_fence_around_the_whole_is_taken_off(template):
    text = f"```json\n{conversation(('q', 'r'))}\n```\n"
    assert read_response(text, template, question="") == (Turn("q", "r"),)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "empty"),
        (" \n", "stop", "empty"),
        ("Here you are: {}", "stop", "not_json"),
        (f"Sure!\n```json\n{conversation(('q', 'r'))}\n```", "stop", "not_json"),
        (conversation(("q", "r"))[:-3], "stop", "not_json"),
        (conversation(("q", "r"))[:-3], "length", "cut_off"),
        ("[]", "stop", "wrong_schema"),
        ('{"turns": [{"question": "q", "answer": "r"}]}', "stop", "wrong_schema"),
        ('{"turns": [{"question": "q", "response": 3}]}', "stop", "wrong_schema"),
        ('{"turns": [], "note": "x"}', "stop", "wrong_schema"),
        ('{"turns": []}', "stop", "turn_count"),
        (conversation(("q", "r"), ("q", "r"), ("q", "r")), "stop", "turn_count"),
        (conversation(("q", " ")), "stop", "empty"),
        ("\u200b", "stop", "empty"),
        (conversation(("q", "\u200b\u2060")), "stop", "empty"),
        (conversation(("q", "a zero \0 byte")), "stop", "not_text"),
        (conversation(("", "r")), "stop", "empty"),
        (conversation(("q", "word " * 21)), "stop", "too_long"),
        (conversation(("<image> q", "r")), "stop", "image_placeholder"),
        (conversation(("Was zeigt das Bild?", GERMAN)), "stop", "language"),
        ("I'm sorry, but I can't help with that.", "stop", "refusal"),
        ("I\u2019m sorry, I can\u2019t assist with this image.", "stop", "refusal"),
        (conversation(("What is it?", "I cannot see the image.")), "stop", "refusal"),
        (conversation(("What is it?", "\"I'm sorry, but I can't help with that.\"")), "stop", "refusal"),
        (conversation(("What is it?", "As an AI, I do not know.")), "stop", "refusal"),
        (conversation(("q", "r")), "content_filter", "refusal"),
    ],
)
def test_each_rule_has_its_reason(template, text, finish, reason):
    with pytest.raises(RuleBrokenError) as caught:
        read_response(text, template, question="", finish_reason=finish)
    assert caught.value.reason == reason
    assert caught.value.detail


@pytest.mark.parametrize(
    "response",
    [
        "The sign says: sorry, closed.",
        "I can see a cat.",
        "A man says he cannot help.",
        "Sorry is written on the sign.",
        '"Sorry, we are closed" is written on the sign.',
        "\u201cI'm sorry\u201d, says the card in her hand.",
    ],
)
def test_an_answer_that_only_sounds_like_a_refusal_is_kept(template, response):
    assert read_response(conversation(("What is it?", response)), template, question="")


def test_a_response_to_a_given_question_is_plain_text(tmp_path):
    write_template(
        tmp_path,
        writes="response",
        questions=["What is it?"],
        turns={"at_least": 1, "at_most": 1},
        response_words={"at_least": 2, "at_most": 5},
    )
    template = load_template(tmp_path, "t")
    assert read_response(" A red cat. ", template, question="What is it?") == (Turn("What is it?", "A red cat."),)
    with pytest.raises(RuleBrokenError, match="too_short"):
        read_response("cat", template, question="What is it?")


def test_short_texts_are_in_no_language():
    assert other_language("rot", wanted="en") is None
    assert other_language(GERMAN, wanted="en") == "de"
    assert other_language(GERMAN, wanted="de") is None
    assert other_language(GERMAN, wanted="any") is None


def test_the_schema_is_what_is_read(template):
    schema = conversation_schema(template.turns)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["turns"]["items"]["required"] == ["question", "response"]  # type: ignore[index]
