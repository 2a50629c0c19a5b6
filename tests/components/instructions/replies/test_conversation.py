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
        (conversation("q", "\u200b\ufeff"), "empty_response"),
        (conversation("half a smile \ud83d", "r"), "not_text"),
        (conversation("q", "half a smile \ud83d"), "not_text"),
        (conversation("q", "a zero \0 byte"), "not_text"),
    ],
)
def test_what_is_no_instruction(messages, reason):
    with pytest.raises(ConversationError) as error:
        parse(messages)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "beside",
    [
        {"weight": 0},
        {"weight": 0.0},
        {"loss": False},
        {"train": False},
        {"tool_calls": [{"id": "1"}]},
        {"refusal": "No."},
    ],
)
def test_a_text_that_its_record_does_not_call_an_answer_is_not_learned_from(beside):
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r", **beside}]
    with pytest.raises(ConversationError) as error:
        parse(said)
    assert error.value.reason == "not_an_answer"


@pytest.mark.parametrize(
    "beside", [{"weight": 1}, {"loss": True}, {"tool_calls": None}, {"refusal": ""}, {"loss": None}]
)
def test_a_text_that_its_record_calls_an_answer_is_one(beside):
    said = [{"role": "user", "content": "q", "weight": 0}, {"role": "assistant", "content": "r", **beside}]
    assert parse(said) == (Turn("q", "r"),)


@pytest.mark.parametrize("empty", [None, float("nan")])
def test_fields_of_other_records_in_one_table_have_no_value(empty):
    shared = [{"from": empty, "value": empty, "role": "user", "content": "q"}]
    shared += [{"from": "gpt", "value": "r", "role": empty, "content": empty}]
    assert parse(shared) == (Turn("q", "r"),)
    record = {"id": "1", "conversations": empty, "messages": shared}
    assert parse_conversation(json.dumps(record).encode()) == (Turn("q", "r"),)


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
