import json

import pytest

from components.instructions.replies.conversation import ConversationError, parse_conversation
from components.pool.samples import Turn
from tests.components.instructions.conftest import conversation


def parse(messages: object):
    return parse_conversation(json.dumps({"id": "1", "conversations": messages}).encode())


def test_turns_without_placeholder_and_outer_blanks():
    turns = parse(conversation("<image>\nWhat is it?", " a cat ", "And\nwhere?\n<image>", "here"))
    assert turns == (Turn("What is it?", "a cat"), Turn("And\nwhere?", "here"))


def test_other_names_of_the_speakers():
    turns = parse([{"from": "user", "value": "<image>"}, {"from": "assistant", "value": "a cat"}])
    assert turns == (Turn("", "a cat"),)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "no_conversation"),
        ("text", "no_conversation"),
        (None, "no_conversation"),
        (conversation("q"), "turn_order"),
        (conversation("q", "r", "q"), "turn_order"),
        ([{"from": "gpt", "value": "r"}, {"from": "human", "value": "q"}], "turn_order"),
        ([{"from": "human", "value": "q"}, {"from": "human", "value": "q"}], "turn_order"),
        (conversation("q", 5), "not_text"),
        (conversation(None, "r"), "not_text"),
        (["q", "r"], "not_text"),
        (conversation("q", " \n"), "empty_response"),
        (conversation("q", "see <image>"), "image_in_response"),
    ],
)
def test_what_is_no_instruction(messages, reason):
    with pytest.raises(ConversationError) as error:
        parse(messages)
    assert error.value.reason == reason


@pytest.mark.parametrize("raw", [b"{", b"[1]", b'{"conversations": [nonsense]}'])
def test_malformed_bytes(raw):
    with pytest.raises(ConversationError) as error:
        parse_conversation(raw)
    assert error.value.reason == ("no_conversation" if raw == b"[1]" else "malformed_json")
