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


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("system", [{"from": "system", "value": "s"}, {"role": "system", "content": ["anything"]}])
def test_what_the_system_says_is_skipped_wherever_it_is(place, system):
    messages = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}]
    messages.insert(place, system)
    assert parse(messages) == (Turn("q", "r"),)


def test_messages_of_role_and_content_are_read():
    parts = [{"type": "image"}, {"type": "text", "text": "What"}, {"type": "text", "text": "is it?"}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "That."}]
    record = {"id": "1", "messages": messages}
    assert parse_conversation(json.dumps(record).encode()) == (Turn("What\nis it?", "That."),)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([{"type": "image_url", "image_url": {"url": "x"}}], "image_in_response"),
        ([{"type": "audio"}], "not_text"),
        ([5], "not_text"),
        ([], "empty_response"),
    ],
)
def test_a_response_in_parts_is_text_alone(content, reason):
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": content}]
    with pytest.raises(ConversationError) as caught:
        parse(messages)
    assert caught.value.reason == reason
