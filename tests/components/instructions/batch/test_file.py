"""Lines of result files as services write them: what is an answer, what is none, and what a file has a line for."""

import json

import pytest

from components.instructions.batch.file import listed_ids, read_results
from components.instructions.endpoint.reply_reader import ReplyReader
from components.instructions.reply import Reply, SendFailure
from tests.components.instructions.scripted_server import completion, conversation

BODY = json.loads(completion(conversation()))
READER = ReplyReader("http://127.0.0.1/v1", "a key of a test")


def read(line):
    text = json.dumps({"custom_id": "a", **line}) + "\n"
    return read_results([text], READER).get("a"), bool(listed_ids(text)), bool(listed_ids(text, run_alone=True))


@pytest.mark.parametrize(
    "line",
    [
        {"response": {"status_code": 200, "body": BODY}, "error": None},
        {"response": {"status_code": 200, "body": BODY}, "error": {}},
        {"response": {"status_code": 200, "body": BODY}, "error": {"code": "", "message": ""}},
        {"response": {"status_code": "200", "body": BODY}},
        {"response": {"status_code": 200.0, "body": BODY}},
        {"response": {"body": BODY}},
        {"response": BODY},
    ],
)
def test_an_answer_is_read_however_its_line_is_written(line):
    reply, listed, ran = read(line)
    assert isinstance(reply, Reply)
    assert reply.text == BODY["choices"][0]["message"]["content"]
    assert (listed, ran) == (True, True)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"response": {"status_code": 200, "body": BODY}, "error": {"code": "x", "message": "broke"}}, "unknown"),
        ({"response": {"status_code": 200, "body": BODY}, "error": "broke"}, "unknown"),
        ({"response": {"status_code": 200, "body": None}}, "unknown"),
        ({"response": {"status_code": 400, "body": BODY}}, "rejected"),
        ({"response": None, "error": {"code": "batch_expired", "message": "late"}}, "not_run"),
        ({"response": {"status_code": 0, "body": None}, "error": {"code": "batch_expired"}}, "not_run"),
    ],
)
def test_a_line_with_an_error_is_no_answer(line, kind):
    failure, listed, ran = read(line)
    assert isinstance(failure, SendFailure)
    assert failure.kind == kind
    assert (listed, ran) == (True, kind != "not_run")


@pytest.mark.parametrize("line", [{}, {"response": {}}, {"response": {"status_code": "9" * 5000}}, {"response": []}])
def test_a_line_that_says_nothing_is_none(line):
    assert read(line) == (None, False, False)


@pytest.mark.parametrize("code", [["batch_expired"], {"code": 1}, 500, None, True])
def test_an_error_may_have_a_code_of_any_kind(code):
    line = {"custom_id": "a", "error": {"code": code, "message": "it failed"}}
    assert listed_ids(json.dumps(line)) == {"a"}
    assert listed_ids(json.dumps(line), run_alone=True) == {"a"}
