"""A reply of any size costs bounded memory, and a redirection elsewhere does not take the key along."""

import asyncio
import gzip
import tracemalloc

import httpx2
import pytest

from components.instructions.endpoint.endpoint import open_endpoint
from components.instructions.endpoint.http_client import LONGEST_REPLY_BYTES, BoundedClient
from components.instructions.reply import Reply
from tests.components.instructions.conftest import purchase_parameters
from tests.components.instructions.purchases import PRICE
from tests.components.instructions.scripted_server import ScriptedReply, completion, conversation, scripted_server

KEY = "sk-a-key-that-nobody-else-may-have"
GOOD = ScriptedReply(200, completion(conversation()))
BOMB = gzip.compress(b" " * (8 * LONGEST_REPLY_BYTES))


@pytest.fixture
def complete(monkeypatch):
    monkeypatch.setenv("PRESEL_TEST_KEY", KEY)

    def complete(url):
        async def once():
            async with open_endpoint(purchase_parameters(base_url=url, prices=[PRICE], timeout_seconds=60)) as endpoint:
                return await endpoint.complete({"model": "test-model"}, send_key="one")

        return asyncio.run(once())

    return complete


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(BOMB, "gzip"), (gzip.compress(BOMB), "gzip, gzip"), (b" " * (LONGEST_REPLY_BYTES + 1), "identity")],
    ids=["compressed", "compressed twice", "plain"],
)
@pytest.mark.parametrize("status", [200, 500, 302])
def test_a_reply_that_is_too_long_is_broken_and_is_not_held(complete, body, encoding, status):
    reply = ScriptedReply(status, body, {"Content-Encoding": encoding})
    with scripted_server(lambda *_: reply) as server:
        tracemalloc.start()
        try:
            said = complete(server.url)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert not isinstance(said, Reply)
    assert said.reason == "broken_reply"
    assert held < 8 * LONGEST_REPLY_BYTES


def test_the_results_of_a_batch_are_bounded_too(monkeypatch):
    monkeypatch.setattr("components.instructions.endpoint.http_client.LONGEST_FILE_BYTES", 1000)
    with (
        scripted_server(lambda *_: ScriptedReply(200, b" " * 1001)) as server,
        BoundedClient() as client,
        pytest.raises(httpx2.DecodingError, match="more than 1,000 bytes"),
    ):
        client.post(server.url, json={})


@pytest.mark.parametrize("compressed", [True, False])
def test_a_reply_of_usual_length_is_read(complete, compressed):
    reply = ScriptedReply(200, gzip.compress(GOOD.body), {"Content-Encoding": "gzip"}) if compressed else GOOD
    with scripted_server(lambda *_: reply) as server:
        assert complete(server.url).text == conversation()


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirection_to_another_server_does_not_take_the_key_along(complete, status):
    with scripted_server(lambda *_: GOOD) as elsewhere:
        there = ScriptedReply(
            status, BOMB, {"Location": f"{elsewhere.url}/chat/completions", "Content-Encoding": "gzip"}
        )
        with scripted_server(lambda *_: there) as server:
            assert complete(server.url).text == conversation()
    assert server.keys == [f"Bearer {KEY}"]
    assert elsewhere.keys == [""]


def test_a_redirection_in_circles_ends(complete):
    with scripted_server(lambda *_: ScriptedReply(307, b"", {"Location": server.url})) as server:
        said = complete(server.url)
    assert not isinstance(said, Reply)
    assert len(server.bodies) < 30
