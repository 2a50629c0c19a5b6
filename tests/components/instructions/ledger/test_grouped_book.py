"""The thread that writes for an event loop."""

import asyncio
from contextvars import ContextVar

from components.instructions.ledger.grouped_book import grouped
from components.instructions.provider import Send
from tests.components.instructions.conftest import RecordingBook
from tests.components.instructions.ledger.test_ledger import A

listener = ContextVar("listener", default="nobody")


def test_the_writing_thread_sees_who_listens_to_progress():
    """What a run logs, and its bar in the Prefect UI, hang on the context of the thread that reports."""
    seen = []

    class Book(RecordingBook):
        def announce(self, sends):
            seen.append(listener.get())
            return super().announce(sends)

    async def announce():
        with grouped(Book()) as writer:
            await writer.announce(Send(A))

    listener.set("the stage")
    asyncio.run(announce())
    assert seen == ["the stage"]
