from typing import Any

import pytest

from components.instructions.endpoint.reply_reader import ReplyReader
from components.instructions.reply import Reply, SendFailure

TEXT = {"type": "text", "text": "A red "}
MORE = {"type": "output_text", "text": "square."}
READER = ReplyReader("http://127.0.0.1/v1", "")


def reply(message: Any = None, **changes: Any) -> dict[str, Any]:
    """A chat completion with changes to its message, choice (finish_reason, ...) and body (usage, ...)."""
    of_body: dict[str, Any] = {
        name: changes.pop(name) for name in ("usage", "error", "prompt_filter_results") if name in changes
    }
    choice = {"index": 0, "message": message, "finish_reason": "stop", **changes}
    return {"choices": [choice], "model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 2}, **of_body}


ANSWERS: dict[str, Any] = {
    "text": {"role": "assistant", "content": "A red square."},
    "parts": {"content": [TEXT, MORE]},
    "one part": {"content": {"type": "text", "text": "A red square."}},
    "texts": {"content": ["A red ", "square."]},
    "thoughts as a part": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, TEXT, MORE]},
    "hidden thoughts": {"content": [{"type": "redacted_thinking", "data": "AAAA"}, TEXT, MORE]},
    "Gemini's thoughts": {"content": [{"text": "hm", "thought": True}, TEXT, MORE]},
    "thoughts of a channel": {"content": [{**TEXT, "text": "hm", "channel": "analysis"}, TEXT, MORE]},
    "thoughts by a flag": {
        "content": [{**TEXT, "text": "hm", "is_thought": "true"}, {**TEXT, "channel": "final"}, MORE]
    },
    "thoughts as a field": {"content": "A red square.", "reasoning_content": "hm", "reasoning": "hm", "thinking": "hm"},
    "empty fields": {
        "content": "A red square.",
        "refusal": None,
        "tool_calls": [],
        "function_call": None,
        "role": None,
    },
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_text_of_an_answer(name: str) -> None:
    assert READER.read(reply(ANSWERS[name])) == Reply("A red square.", "stop", "m", 9, 2)


REFUSALS: dict[str, Any] = {
    "a field": reply({"content": None, "refusal": "Das darf ich nicht."}),
    "a field beside text": reply({"content": "Das darf ich nicht.", "refusal": True}),
    "a part": reply({"content": [{"type": "refusal", "refusal": "Nein."}]}),
    "Azure's filter": reply({"content": "A"}, content_filter_results={"hate": {"filtered": True, "severity": "high"}}),
    "Azure's filter of the prompt": reply(
        {"content": "A"}, prompt_filter_results=[{"content_filter_results": {"jailbreak": {"filtered": True}}}]
    ),
    "the upstream's reason": reply({"content": "A"}, native_finish_reason="SAFETY"),
    "the model's reason": reply({"content": "A"}, stop_reason="refusal"),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_a_refusal_in_any_language(name: str) -> None:
    from components.instructions.replies.finish_reasons import finish_of

    read = READER.read(REFUSALS[name])
    assert isinstance(read, Reply)
    assert finish_of(read.finish_reason) == "refused"


def test_a_filter_that_found_nothing_is_no_refusal() -> None:
    filters = {"hate": {"filtered": False}, "profanity": {"detected": False, "filtered": False}, "error": "none"}
    assert isinstance(READER.read(reply({"content": "A"}, content_filter_results=filters)), Reply)


NO_ANSWERS: dict[str, Any] = {
    "no choices": {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 0}},
    "null choices": {"choices": None},
    "no message": reply(None),
    "a choice that is null": {"choices": [None]},
    "a stream's form": {"choices": [{"delta": {"content": "A"}, "finish_reason": "stop"}]},
    "the older form": {"choices": [{"text": "A", "finish_reason": "stop"}]},
    "a number": reply({"content": 3}),
    "an unknown part": reply({"content": [TEXT, {"type": "reference", "reference_ids": [1]}]}),
    "an image": reply({"content": [{"type": "image_url", "image_url": {"url": "data:"}}]}),
    "a part that is null": reply({"content": [None]}),
    "a tool": reply({"content": "Let me look.", "tool_calls": [{"id": "1"}]}),
    "a tool, as others write it": reply({"content": "A", "toolCalls": [{"id": "1"}]}),
    "a message of thoughts": reply({"content": "Hm, a square.", "channel": "analysis"}),
    "the user's own": reply({"role": "user", "content": "A"}),
    "an error beside an answer": reply({"content": "A noisy pict"}, error={"code": 502, "message": "upstream"}),
    "an error in the body": {"error": {"message": "upstream", "code": 502}},
    "an error as text": {"error": "model crashed"},
    "vLLM's error": {"object": "error", "message": "engine died", "code": 500},
    "an error in the message": reply({"content": "A noisy pict", "error": {"message": "upstream"}}),
    "an error in the choice": reply({"content": "A noisy pict"}, error_message="upstream"),
    "errors beside an answer": {**reply({"content": "A noisy pict"}), "errors": [{"message": "upstream"}]},
    "a number of an error": {**reply({"content": "A noisy pict"}), "error_code": 1301},
    "MiniMax's error": {**reply({"content": "A noisy pict"}), "base_resp": {"status_code": 1013, "status_msg": "m"}},
    "a page": "<html>",
    "nothing": None,
}


def test_that_there_is_no_error_is_no_error() -> None:
    said: dict[str, object] = {
        "error": None,
        "errors": [],
        "error_code": 0,
        "error_msg": "",
        "base_resp": {"status_code": 0},
    }
    assert isinstance(READER.read({**reply({"content": "A", **said}), **said}), Reply)


@pytest.mark.parametrize("name", sorted(NO_ANSWERS))
def test_what_is_not_known_to_be_an_answer_is_a_failed_attempt(name: str) -> None:
    read = READER.read(NO_ANSWERS[name])
    assert isinstance(read, SendFailure)
    assert read.kind in ("unknown", "refused")
    assert read.detail


def test_a_failure_that_the_endpoint_counts_has_its_tokens() -> None:
    read = READER.read(NO_ANSWERS["no choices"])
    assert isinstance(read, SendFailure)
    assert (read.input_tokens, read.output_tokens) == (9, 0)


@pytest.mark.parametrize(
    ("code", "kind"), [(403, "rejected"), ("400", "rejected"), (429, "refused"), (503, "refused"), (401, "account")]
)
def test_an_error_with_status_200_means_what_its_code_says(code: object, kind: str) -> None:
    read = READER.read({"error": {"code": code, "message": "m"}, "user_id": "u"})
    assert isinstance(read, SendFailure)
    assert read.kind == kind


@pytest.mark.parametrize("reason", [{"type": "stop", "matched": 2}, "stop"])
def test_a_reason_may_be_wrapped_or_stand_elsewhere(reason: object) -> None:
    for where in ({"finish_reason": reason}, {"finish_reason": None, "finish_details": {"type": "stop"}}):
        read = READER.read(reply({"content": "A"}, **where))
        assert isinstance(read, Reply)
        assert read.finish_reason == "stop"


STATUSES = {401: "account", 402: "account", 404: "account", 405: "account", 407: "account", 410: "account"}
STATUSES |= {400: "rejected", 403: "rejected", 413: "rejected", 415: "rejected", 422: "rejected", 451: "rejected"}
STATUSES |= {418: "rejected", 421: "rejected", 424: "rejected", 431: "rejected", 499: "unknown", 504: "unknown"}
STATUSES |= {408: "refused", 409: "refused", 425: "refused", 429: "refused", 500: "refused", 529: "refused"}
STATUSES |= {0: "refused", 201: "refused", 302: "refused", 524: "unknown"}


@pytest.mark.parametrize(("status", "kind"), sorted(STATUSES.items()))
def test_what_a_status_means(status: int, kind: str) -> None:
    assert READER.explain_status(status, "m", "").kind == kind
