"""Durable ledger writes: in groups as we do, against one by one (`python -m bench.ledger_writes`)."""

import argparse
import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from bench.results import Row, out_option, publish
from components.compute.progress import no_progress
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.counted_book import CountedBook
from components.instructions.ledger.grouped_book import grouped
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.workers import registered_worker
from components.instructions.provider import Answer, Send
from components.instructions.request import (
    IdentifiedRequest,
    InstructionRequest,
    RequestSpecification,
    identify_request,
)
from components.pool.samples import Turn

Buy = Callable[[CountedBook, Sequence[IdentifiedRequest], int, float], Coroutine[Any, Any, None]]


def draw_requests(count: int, *, run: str) -> list[IdentifiedRequest]:
    """Requests for images that nobody looks at."""
    specification = RequestSpecification(model="none", prompt_template=run)
    requests = []
    for number in range(count):
        sha = hashlib.sha256(f"{run}/{number}".encode()).hexdigest()
        requests.append(
            identify_request(InstructionRequest(f"task/{sha[:20]}", "task", sha, "x.png", ("x",)), specification)
        )
    return requests


def answer(request: IdentifiedRequest) -> Answer:
    """What an endpoint would say."""
    return Answer(request.request_id, (Turn("What is it?", "A bench."),), "none", "{}", 400, 60, 0.0001)


async def in_groups(
    book: CountedBook, requests: Sequence[IdentifiedRequest], concurrency: int, latency_seconds: float
) -> None:
    """Ours: one thread writes together what came up while it wrote."""
    gate = asyncio.Semaphore(concurrency)
    with grouped(book) as writer:

        async def buy(request: IdentifiedRequest) -> None:
            async with gate:
                await writer.announce(Send(request))
                await asyncio.sleep(latency_seconds)
                await writer.settle(answer(request))

        await asyncio.gather(*map(buy, requests))


async def one_by_one(
    book: CountedBook, requests: Sequence[IdentifiedRequest], concurrency: int, latency_seconds: float
) -> None:
    """Every write by itself, in a thread so that the others go on meanwhile."""
    gate, lock = asyncio.Semaphore(concurrency), asyncio.Lock()

    async def buy(request: IdentifiedRequest) -> None:
        async with gate:
            async with lock:
                await asyncio.to_thread(book.announce, [Send(request)])
            await asyncio.sleep(latency_seconds)
            async with lock:
                await asyncio.to_thread(book.settle, [answer(request)])

    await asyncio.gather(*map(buy, requests))


def main(arguments: Sequence[str] | None = None) -> None:
    """Buy the same number of instructions both ways; print requests per second and the ratio to no ledger at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[16, 256])
    parser.add_argument("--latency-seconds", type=float, default=0.2, help="of the endpoint")
    out_option(parser)
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for concurrency in options.concurrency:
        ideal = concurrency / options.latency_seconds
        for method in (in_groups, one_by_one):
            seconds = _measure(method, options.requests, concurrency, options.latency_seconds)
            rows.append(
                {
                    "in flight": concurrency,
                    "method": method.__name__,
                    "requests per second": options.requests / seconds,
                    "of what latency alone allows": options.requests / seconds / ideal,
                }
            )
    publish(rows, packages=["sqlalchemy"], out=options.out)


def _measure(method: Buy, count: int, concurrency: int, latency_seconds: float) -> float:
    requests = draw_requests(count, run=method.__name__)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.sqlite'}"
        with open_ledger(url) as ledger, registered_worker(ledger, run="bench") as worker:
            kept = LedgerBook(ledger, provider="bench", run="bench", worker=worker)
            book = CountedBook(kept, no_progress, done=0, total=count)
            started = time.perf_counter()
            asyncio.run(method(book, requests, concurrency, latency_seconds))
            return time.perf_counter() - started


if __name__ == "__main__":
    main()
