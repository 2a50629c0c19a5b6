import pytest

from components.instructions.endpoint.answer_end import end_of_answer
from components.instructions.endpoint.reply_reader import ReplyReader
from components.instructions.replies.finish_reasons import as_failure, finish_of
from components.instructions.reply import Reply, SendFailure

STOP: dict[str, object] = {"finish_reason": "stop"}
UNFINISHED: list[tuple[dict[str, object], str]] = [
    ({"status": "incomplete"}, "failed"),
    ({"status": "in_progress"}, "failed"),
    ({"status": "a status of next year"}, "failed"),
    ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "failed"),
    ({"incomplete_details": {"reason": "content_filter"}}, "refused"),
    ({"incomplete_details": {"reason": "of next year"}}, "failed"),
    ({"truncated": True}, "cut_off"),
    ({"is_truncated": "true"}, "cut_off"),
    ({"partial": True}, "failed"),
    ({"interrupted": 1}, "failed"),
    ({"is_finished": False}, "failed"),
    ({"done": False}, "failed"),
    ({"success": False}, "failed"),
    ({"object": "chat.completion.chunk"}, "failed"),
    ({"stop_reason": "max_tokens"}, "cut_off"),
    ({"native_finish_reason": "SAFETY"}, "refused"),
    ({"doneReason": "of next year", "done_reason": "length"}, "cut_off"),
    ({"flagged": True}, "refused"),
    ({"output_sensitive": True}, "refused"),
    ({"blocked": "true"}, "refused"),
]
FINISHED: list[dict[str, object]] = [
    {},
    {"status": "completed", "incomplete_details": None, "truncated": False},
    {"status": 200, "done": True, "is_finished": None},
    {"truncation": "disabled", "partial": "none", "stop_reason": None},
    {"end_turn": None, "status": None, "truncated": {}},
    {"stop_reason": 151645, "native_finish_reason": "STOP", "object": "chat.completion", "success": True},
    {"flagged": False, "output_sensitive": False, "output_sensitive_type": 0, "blocked": None},
]


@pytest.mark.parametrize("place", ["choice", "message", "body"])
@pytest.mark.parametrize(("said", "finish"), UNFINISHED)
def test_what_says_that_an_answer_is_not_finished_counts_wherever_it_stands(
    place: str, said: dict[str, object], finish: str
) -> None:
    parts: dict[str, dict[str, object]] = {"choice": STOP, "message": {}, "body": {}}
    parts[place] = {**parts[place], **said}
    assert finish_of(end_of_answer(parts["choice"], parts["message"], parts["body"])) == finish


@pytest.mark.parametrize("place", ["choice", "message", "body"])
@pytest.mark.parametrize("said", FINISHED)
def test_what_says_that_it_is_finished_changes_nothing(place: str, said: dict[str, object]) -> None:
    parts: dict[str, dict[str, object]] = {"choice": STOP, "message": {}, "body": {}}
    parts[place] = {**parts[place], **said}
    assert end_of_answer(parts["choice"], parts["message"], parts["body"]) == "stop"


@pytest.mark.parametrize(("said", "finish"), UNFINISHED)
def test_such_a_reply_is_no_answer(said: dict[str, object], finish: str) -> None:
    message = {"role": "assistant", "content": "A red squ"}
    reply = as_failure(ReplyReader("", "").read({"choices": [{**STOP, "message": message}], **said}))
    assert isinstance(reply, SendFailure if finish == "failed" else Reply)
    assert isinstance(reply, SendFailure) or finish_of(reply.finish_reason) != "finished"
