"""What no well-behaved endpoint says, and some do: nothing is lost by it, bought twice, or given up for good."""

import dataclasses
import hashlib
import json
import time

import pytest
from sqlalchemy import select

from components.instructions import purchase_loop
from components.instructions.buy import buy_instructions
from components.instructions.endpoint.provider import openai_provider
from components.instructions.endpoint.reply_reader import EndpointRefusedError
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.tables import ATTEMPTS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.purchase_errors import BudgetSpentError, EndpointFailsError
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, draw_requests, write_template
from tests.components.instructions.scripted_server import ScriptedReply, completion, conversation, scripted_server

KEY = "sk-a-key-that-nobody-may-read"
GOOD = ScriptedReply(200, completion(conversation()))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("PRESEL_TEST_KEY", KEY)


@pytest.fixture
def ledger(url):
    with open_ledger(url) as ledger:
        yield ledger


@pytest.fixture
def sqlite(tmp_path):
    with open_ledger(f"sqlite:///{tmp_path}/one.sqlite") as ledger:
        yield ledger


def buy(folder, ledger, server, count, *, run="one", template=None, **limits):
    prompts = write_template(folder / "prompts", **(template or {}))
    parameters = instruction_parameters(provider="openai", model="test-model", prompts=str(prompts))
    purchase = purchase_parameters(base_url=server.url, prices=[PRICE], **{"concurrency": 4, **limits})
    provider = openai_provider(parameters, purchase, pixel_limit=10**6)
    return buy_instructions(draw_requests(folder / "images", count), provider=provider, ledger=ledger, run=run)


def attempts(ledger):
    with ledger.engine.connect() as connection:
        return connection.execute(select(ATTEMPTS)).mappings().all()


ODD = {
    "a NUL in the text": GOOD.body.replace(b"A small square.", b"A small\\\\u0000 square."),
    "a NUL in the content": completion("\0" + conversation()),
    "half a surrogate pair": completion(conversation()).replace(b"A small square.", b"A small \\ud83d square."),
    "a NUL in the model's name": completion(conversation(), model="test\0model"),
    "half a pair in an error": json.dumps({"error": {"message": "no \ud83d"}}).encode(),
    "more tokens than there are": completion(
        conversation(), usage={"prompt_tokens": 2**31, "completion_tokens": 10**30}
    ),
    "no tokens at all": completion(conversation(), usage={"prompt_tokens": 0, "completion_tokens": 0}),
    "too deep": b"[" * 200_000,
}


@pytest.mark.parametrize("name", sorted(ODD))
def test_an_odd_reply_does_not_take_its_neighbours_along(tmp_path, ledger, name, monkeypatch):
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 9)

    def script(number, _):
        return ScriptedReply(400 if "error" in name else 200, ODD[name]) if number == 3 else GOOD

    with scripted_server(script) as server:
        bought = buy(tmp_path, ledger, server, 12)
        assert bought.instructions.num_rows >= 11
        sent = len(server.bodies)
        assert sent <= 13, "the odd one at most is asked for again"
        assert buy(tmp_path, ledger, server, 12, run="two").instructions == bought.instructions
        assert len(server.bodies) == sent
    highest = max(row["may_cost_usd"] for row in attempts(ledger))
    assert all(0 <= row["price_usd"] <= highest for row in attempts(ledger))
    if "tokens" in name:
        assert sum(row["price_usd"] == row["may_cost_usd"] for row in attempts(ledger)) == 1, (
            "booked at its highest cost"
        )


def test_a_key_with_the_end_of_its_line_is_a_key_without(tmp_path, sqlite, monkeypatch):
    monkeypatch.setenv("PRESEL_TEST_KEY", KEY + "\r\n")
    with scripted_server(lambda *_: GOOD) as server:
        assert buy(tmp_path, sqlite, server, 2).instructions.num_rows == 2
        assert set(server.keys) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("key", [f"{KEY}\n{KEY}", "sk-schlüssel", "sk-\x07"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(tmp_path, sqlite, monkeypatch, key):
    monkeypatch.setenv("PRESEL_TEST_KEY", key)
    with scripted_server(lambda *_: GOOD) as server, pytest.raises(EndpointRefusedError) as refused:
        buy(tmp_path, sqlite, server, 1)
    assert key not in str(refused.value)
    assert KEY not in str(refused.value)
    assert server.bodies == []


def test_the_key_is_kept_out_of_the_models_name(tmp_path, sqlite):
    with scripted_server(lambda *_: ScriptedReply(200, completion(conversation(), model=f"m {KEY}"))) as server:
        bought = buy(tmp_path, sqlite, server, 1)
    assert bought.instructions["model"].to_pylist() == ["m [key]"]


@pytest.mark.parametrize("status", [401, 402, 404, 407, 410])
def test_what_is_about_the_account_gives_no_request_up(tmp_path, sqlite, status):
    said = ScriptedReply(status, b'{"error": {"message": "not now"}}')
    with scripted_server(lambda number, _: GOOD if number < 3 else said) as server:
        with pytest.raises(EndpointRefusedError, match=f"HTTP {status}"):
            buy(tmp_path, sqlite, server, 12, concurrency=1)
        assert len(server.bodies) == 4, "it stops at once"
    with scripted_server(lambda *_: GOOD) as server:
        assert buy(tmp_path, sqlite, server, 12).instructions.num_rows == 12
        assert len(server.bodies) == 9


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_endpoint_that_rejects_everything_gives_no_request_up(tmp_path, sqlite, status):
    said = ScriptedReply(status, b'{"error": {"message": "longer than max-model-len"}}')
    with scripted_server(lambda *_: said) as server, pytest.raises(EndpointFailsError, match="max-model-len"):
        buy(tmp_path, sqlite, server, 14)
    with scripted_server(lambda *_: GOOD) as server:
        assert buy(tmp_path, sqlite, server, 14).instructions.num_rows == 14


@pytest.mark.parametrize("status", [400, 403])
def test_one_image_that_is_rejected_is_quarantined_and_the_others_come(tmp_path, sqlite, status):
    said = ScriptedReply(status, b'{"error": {"message": "content policy"}}')
    seen: dict[str, int] = {}

    def script(number, body):
        image = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        seen.setdefault(image, number)
        return said if seen[image] == 4 else GOOD

    with scripted_server(script) as server:
        bought = buy(tmp_path, sqlite, server, 12, concurrency=1)
        assert bought.instructions.num_rows == 11
        assert [dropped.reason for dropped in bought.dropped] == ["rejected"]
        assert len(server.bodies) == 13, "it was asked for once more when the others were through"


def test_an_account_that_is_closed_half_way_gives_no_request_up(tmp_path, sqlite):
    said = ScriptedReply(403, b'{"error": {"message": "suspended"}}')
    half = scripted_server(lambda number, _: GOOD if number < 5 else said)
    with half as server, pytest.raises(EndpointFailsError, match="suspended"):
        buy(tmp_path, sqlite, server, 12, concurrency=1)
    with scripted_server(lambda *_: GOOD) as server:
        assert buy(tmp_path, sqlite, server, 12).instructions.num_rows == 12


@pytest.mark.parametrize("asked", ["1000000000", "inf", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_wait_that_is_too_long_ends_the_run(tmp_path, sqlite, asked):
    said = ScriptedReply(429, b"{}", {"Retry-After": asked})
    with scripted_server(lambda *_: said) as server, pytest.raises(EndpointFailsError, match="Retry-After"):
        buy(tmp_path, sqlite, server, 3)


def test_a_date_that_no_calendar_has_is_no_wait(tmp_path, sqlite):
    said = ScriptedReply(429, b"{}", {"Retry-After": "Wed, 21 Oct 20992099209920992099 07:28:00 GMT"})
    with scripted_server(lambda number, _: said if number == 0 else GOOD) as server:
        assert buy(tmp_path, sqlite, server, 3).instructions.num_rows == 3


def test_the_time_limit_is_of_the_whole_reply(tmp_path, sqlite, monkeypatch):
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 1)
    dripping = dataclasses.replace(GOOD, drip_seconds=0.3)
    with scripted_server(lambda *_: dripping) as server, pytest.raises(EndpointFailsError, match="no complete reply"):
        buy(tmp_path, sqlite, server, 1, timeout_seconds=1.0)
    assert [row["outcome"] for row in attempts(sqlite)] == ["unknown"]


@pytest.mark.parametrize(
    ("status", "outcome"), [(504, "unknown"), (524, "unknown"), (499, "unknown"), (502, "refused")]
)
def test_whether_a_failure_may_have_been_charged(tmp_path, sqlite, status, outcome):
    with scripted_server(lambda number, _: ScriptedReply(status, b"{}") if number == 0 else GOOD) as server:
        buy(tmp_path, sqlite, server, 1)
    assert [row["outcome"] for row in attempts(sqlite)] == [outcome, "answered"]


def test_a_limit_holds_once_costs_prove_underestimated(tmp_path, sqlite):
    dear = ScriptedReply(200, completion(conversation(), usage={"prompt_tokens": 20_000, "completion_tokens": 20}))
    with scripted_server(lambda *_: dear) as server, pytest.raises(BudgetSpentError):
        buy(tmp_path, sqlite, server, 60, spend_at_most_usd=0.4, concurrency=3)
    spent = ledger_totals(sqlite).price_usd
    one = (20_000 * 3 + 20 * 6) / 1e6
    assert spent <= 0.4 + 3 * one, "by what was in flight when the first reply came, and no more"
    assert spent > 0.2


RESPONSE = {
    "writes": "response",
    "questions": ["What is it?"],
    "turns": {"at_least": 1, "at_most": 1},
    "response_words": {"at_least": 1, "at_most": 60},
}
TEXT = "This is a small square of one colour on the page."


def said(message, *, finish="stop", **of_choice):
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}, **of_choice}
    usage = {"prompt_tokens": 500, "completion_tokens": 40}
    return ScriptedReply(200, json.dumps({"choices": [choice], "model": "m", "usage": usage}).encode())


def for_one_image(odd):
    """The first image that is asked about always gets this; the others a good answer, a little later."""
    unlucky = []

    def script(_, body):
        image = body["messages"][-1]["content"][0]["image_url"]["url"] if len(body["messages"]) < 3 else None
        unlucky.append(image)
        if image is None or image == unlucky[0]:
            return odd
        time.sleep(0.03)
        return said({"content": TEXT})

    return script


@pytest.mark.parametrize(
    "message",
    [
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": TEXT},
            ]
        },
        {"content": f"<think>\nThe user wants a description.\n</think>\n\n{TEXT}"},
        {"content": TEXT, "reasoning_content": "The user wants a description."},
    ],
)
def test_what_is_trained_on_is_the_answer_alone(tmp_path, sqlite, message):
    with scripted_server(lambda *_: said(message)) as server:
        bought = buy(tmp_path, sqlite, server, 3, template=RESPONSE)
    assert [row["turns"][0]["response"] for row in bought.instructions.to_pylist()] == [TEXT] * 3


# Status and body of an answer for one image -> the reason it is left out with.
FOR_ONE = {
    "500": (ScriptedReply(500, b'{"object": "error", "message": "Internal Server Error"}'), "server_error"),
    "403": (ScriptedReply(403, b'{"error": {"message": "Your input was flagged", "code": 403}}'), "rejected"),
    "451": (ScriptedReply(451, b'{"error": {"message": "for legal reasons"}}'), "rejected"),
    "429": (ScriptedReply(429, b'{"error": {"message": "larger than tokens per minute"}}'), "rate_limited"),
    "no choices": (
        ScriptedReply(200, b'{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 0}}'),
        "broken_reply",
    ),
    "an error with 200": (ScriptedReply(200, b'{"error": {"code": 502, "message": "upstream"}}'), "server_error"),
    "moderation with 200": (ScriptedReply(200, b'{"error": {"code": 403, "message": "flagged"}}'), "rejected"),
    "half a sentence": (
        said({"content": "A noisy pict"}, finish="error", error={"code": 502, "message": "up"}),
        "server_error",
    ),
    "a reason of next year": (said({"content": "A noisy pict"}, finish="gave_up"), "unfinished"),
    "no reason": (said({"content": "A noisy picture."}, finish=None), "unfinished"),
    "a page": (ScriptedReply(200, b"<html>"), "broken_reply"),
    "a refusal": (said({"content": None, "refusal": "Das darf ich nicht beschreiben."}), "refusal"),
    "a filter": (said({"content": "A noisy pict"}, finish="SAFETY"), "refusal"),
    "cut off": (said({"content": "A noisy pict"}, finish="MAX_TOKENS"), "cut_off"),
    "thoughts": (said({"content": "<think>I wonder"}), "thinking"),
}


@pytest.mark.parametrize("name", sorted(FOR_ONE))
def test_one_image_is_left_out_and_the_others_come(tmp_path, sqlite, monkeypatch, name):
    concurrency = 1 + 3 * (len(name) % 2)
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    odd, reason = FOR_ONE[name]
    with scripted_server(for_one_image(odd)) as server:
        bought = buy(tmp_path, sqlite, server, 7, template=RESPONSE, concurrency=concurrency)
        assert (bought.instructions.num_rows, [one.reason for one in bought.dropped]) == (6, [reason])
        sent = len(server.bodies)
        assert buy(tmp_path, sqlite, server, 7, template=RESPONSE, run="two").asked == 0
        assert len(server.bodies) == sent <= 6 + 3 + 1, "a witness at most, where the others were in flight at once"
    assert {row["turns"][0]["response"] for row in bought.instructions.to_pylist()} == {TEXT}


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("name", ["500", "403", "no choices", "a reason of next year"])
def test_where_all_get_it_nothing_is_given_up(tmp_path, sqlite, monkeypatch, name, count):
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    with scripted_server(lambda *_: FOR_ONE[name][0]) as server:
        for run in ("one", "two"):
            with pytest.raises((EndpointFailsError, EndpointRefusedError)):
                buy(tmp_path, sqlite, server, count, template=RESPONSE, run=run)
    assert (ledger_totals(sqlite).quarantined, ledger_totals(sqlite).pending) == (0, count)
    with scripted_server(lambda *_: said({"content": TEXT})) as server:
        assert buy(tmp_path, sqlite, server, count, template=RESPONSE).instructions.num_rows == count


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_no_proxy_stands_between_this_machine_and_itself(tmp_path, sqlite, monkeypatch, name):
    for known in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    with scripted_server(lambda *_: GOOD) as server:
        assert buy(tmp_path, sqlite, server, 2).instructions.num_rows == 2


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_an_answer_has_the_name_that_the_server_knows(tmp_path, sqlite, name):
    with scripted_server(lambda *_: GOOD) as server:
        first = buy(tmp_path, sqlite, server, 1, output_limit=name)
        [body] = server.bodies
        assert body[name] == 512
        assert len({"max_tokens", "max_completion_tokens"} & set(body)) == 1
        assert buy(tmp_path, sqlite, server, 1, output_limit="max_tokens").asked == 0, "no part of the identity"
    assert first.instructions.num_rows == 1
