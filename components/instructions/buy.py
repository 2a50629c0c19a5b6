"""Gets the instructions of chosen samples, each of them once."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.compute.progress import NotedProgress, no_progress
from components.errors import UserError
from components.instructions.ledger.batches import open_batches_of
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.failures import reopen_without_reply
from components.instructions.ledger.ledger import Ledger, LedgerEntry, find_entries
from components.instructions.ledger.totals import attempt_table, may_have_been_charged, pending_requests
from components.instructions.ledger.workers import registered_worker
from components.instructions.open_provider import PROVIDERS
from components.instructions.provider import InstructionProvider
from components.instructions.request import IdentifiedRequest, InstructionRequest, identify_request
from components.pool.samples import Dropped
from components.schemas import INSTRUCTIONS

_LOG = logging.getLogger(__name__)
# Samples named in a warning; the ledger names all.
_NAMED = 20
# Between two looks at what another purchase has in hand.
_WAIT_SECONDS = 1.0


class InstructionError(UserError, RuntimeError):
    """Instructions were asked for and none came, or the provider did not keep its promise."""


@dataclass(frozen=True, slots=True)
class BuyResult:
    """What came of a purchase.

    Attributes:
        instructions: columns of `components.schemas.INSTRUCTIONS`, sorted by sample id.
        dropped: samples without a usable instruction, sorted by sample id; those whose image could not be had are asked
            for by a later run.
        attempts: every time something was sent for them, now or before, columns of
            `components.schemas.ATTEMPT_ROWS`.
        asked: requests that were sent now.
        reused: requests whose outcome was in the ledger already; they cost nothing now.
        asked_again: samples that an earlier run had asked for without a complete reply, which may have been charged;
            sent once more.
        price_usd: dollars that this purchase cost, as far as that is known.
    """

    instructions: pa.Table
    dropped: tuple[Dropped, ...]
    attempts: pa.Table
    asked: int
    reused: int
    asked_again: tuple[str, ...]
    price_usd: float


def buy_instructions(
    requests: Sequence[InstructionRequest],
    *,
    provider: InstructionProvider,
    ledger: Ledger,
    progress: NotedProgress = no_progress,
    run: str = "",
    ask_again: bool = False,
) -> BuyResult:
    """Ask for the instructions that the ledger does not hold and record each one before the next step.

    A request that is answered or quarantined in the ledger is never sent again. One that was sent by a run
    that died before the outcome was recorded is sent once more, and named.

    Args:
        requests: one per sample.
        provider: who is asked.
        ledger: what was asked before, and where this is recorded.
        progress: told about samples.
        run: label of the curation run in the ledger.
        ask_again: also for what was given up without a reply, and for what stayed open because no reply to anything was
            usable, as a person may demand.

    Returns:
        The instructions and what was left out.

    Raises:
        ValueError: a sample is requested twice.
        InstructionError: not one of the samples got an instruction, or the provider left requests open.
    """
    twice = [name for name, count in Counter(request.sample_id for request in requests).items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} samples are requested more than once, e.g. {twice[0]!r}")
    identified = [
        identify_request(request, specification)
        for request, specification in zip(requests, provider.specify(requests), strict=True)
    ]
    if ask_again:
        reopen_without_reply(ledger, [request.request_id for request in identified])
    known = find_entries(ledger, [request.request_id for request in identified])
    wanted = _without_outcome(identified, known)
    out = open_batches_of(ledger, [request.request_id for request in wanted])
    sent = [one.request_id for one in wanted if one.request_id in known and one.request_id not in out]
    uncertain = may_have_been_charged(ledger, sent)
    asked_again = tuple(one.request.sample_id for one in wanted if one.request_id in uncertain)
    _warn_of_lost(asked_again)
    price_usd, left_out = _ask(wanted, provider, ledger, progress, run, total=len(identified), asks_again=ask_again)
    entries = known | find_entries(ledger, [request.request_id for request in wanted])
    result = BuyResult(
        instructions=_instructions(identified, entries),
        dropped=_dropped(identified, entries, left_out),
        attempts=attempt_table(ledger, [request.request_id for request in identified]),
        asked=len(wanted),
        reused=len(identified) - len(wanted),
        asked_again=asked_again,
        price_usd=price_usd,
    )
    if identified and not result.instructions.num_rows:
        reasons = Counter(dropped.reason for dropped in result.dropped)
        counted = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        raise InstructionError(
            f"none of {len(identified)} samples got an instruction ({counted}); "
            f"e.g. {result.dropped[0].sample_id}: {result.dropped[0].detail}"
        )
    return result


def _warn_of_lost(asked_again: Sequence[str]) -> None:
    if asked_again:
        _LOG.warning(
            "%d instructions were asked for before and no complete reply came, so they may have been charged; they are "
            "asked for once more: %s%s",
            len(asked_again),
            ", ".join(asked_again[:_NAMED]),
            ", ..." if len(asked_again) > _NAMED else "",
        )


def _still_open(requests: Sequence[IdentifiedRequest], ledger: Ledger) -> tuple[IdentifiedRequest, ...]:
    return _without_outcome(requests, find_entries(ledger, [one.request_id for one in requests]))


def _without_outcome(
    requests: Sequence[IdentifiedRequest], entries: dict[str, LedgerEntry]
) -> tuple[IdentifiedRequest, ...]:
    return tuple(
        request
        for request in requests
        if request.request_id not in entries or entries[request.request_id].state == "pending"
    )


def _ask(
    wanted: Sequence[IdentifiedRequest],
    provider: InstructionProvider,
    ledger: Ledger,
    progress: NotedProgress,
    run: str,
    *,
    total: int,
    asks_again: bool,
) -> tuple[float, Mapping[str, Dropped]]:
    """Ask until nothing is left; returns dollars paid, and what could not be sent: request id -> why."""
    if not wanted:
        progress(total, total)
        return 0.0, {}
    with registered_worker(ledger, run=run) as worker:
        book = LedgerBook(
            ledger,
            provider=provider.name,
            run=run,
            worker=worker,
            progress=progress,
            done=total - len(wanted),
            total=total,
            asks_again=asks_again,
        )
        # Before the provider reads what was spent: what a kill has left in flight may have been charged.
        book.name_lost()
        passed_over: set[str] = set()
        try:
            while wanted:
                provider.ask(wanted, book=book)
                left = tuple(one for one in _still_open(wanted, ledger) if one.request_id not in book.left_out)
                passed_over = _check_left(left, wanted, book, ledger, provider, passed_over, worker=worker.number)
                wanted = _still_open(left, ledger)
        finally:
            book.release()
    return book.spent_usd, book.left_out


def _check_left(
    left: Sequence[IdentifiedRequest],
    wanted: Sequence[IdentifiedRequest],
    book: LedgerBook,
    ledger: Ledger,
    provider: InstructionProvider,
    passed_over: set[str],
    *,
    worker: int,
) -> set[str]:
    """Wait a little for what other purchases have in hand; anything else that is left is an error.

    Returns:
        Requests that are out in a batch that nobody looks after; given back as `passed_over` the next time.
    """
    if not left:
        return set()
    refused = book.take_refused()
    forgotten = [request for request in left if request.request_id not in refused]
    if forgotten:
        raise InstructionError(
            f"provider {provider.name!r} gave no outcome for {len(forgotten)} of {len(wanted)} requests; "
            "they are asked again by the next run"
        )
    ids = [request.request_id for request in left]
    held = _wait_for_others(ledger, ids, worker)
    out = open_batches_of(ledger, [request_id for request_id in ids if request_id not in held])
    # Asked once more in between: a run that ends leaves its batches to whoever comes.
    in_batches = [name for name, kind in PROVIDERS.items() if kind.in_batches]
    if out and (provider.name not in in_batches or out.keys() <= passed_over):
        request_id, batch = next(iter(out.items()))
        raise InstructionError(
            f"{len(out)} requests are out in a batch that has not been collected, e.g. {request_id[:12]} in {batch}; "
            f"run with provider {' or '.join(in_batches)}, at that endpoint, to collect it, or give it up "
            "(`presel batches`)"
        )
    return set(out)


def _wait_for_others(ledger: Ledger, request_ids: Sequence[str], worker: int) -> frozenset[str]:
    """Wait until something is open that no other purchase has in hand, or nothing is; returns what one has then."""
    said = False
    while True:
        time.sleep(_WAIT_SECONDS)
        pending = pending_requests(ledger, request_ids, but_of=worker)
        if pending.free or not pending.with_others:
            return pending.with_others
        if not said:
            _LOG.info("waiting for %d instructions that other runs are buying", len(pending.with_others))
            said = True


def _instructions(identified: Sequence[IdentifiedRequest], entries: dict[str, LedgerEntry]) -> pa.Table:
    rows = []
    for request in sorted(identified, key=lambda one: one.request.sample_id):
        entry = entries.get(request.request_id)
        if entry is None or entry.state != "answered":
            continue
        rows.append(
            {
                "sample_id": request.request.sample_id,
                "task": request.request.task,
                "image_sha": request.request.image_sha,
                "request_id": request.request_id,
                "provider": entry.provider,
                "model": entry.model,
                "turns": [{"question": turn.question, "response": turn.response} for turn in entry.turns],
                "input_tokens": entry.input_tokens,
                "output_tokens": entry.output_tokens,
                "price_usd": entry.price_usd,
                "attempts": entry.attempts,
            }
        )
    return pa.Table.from_pylist(rows, schema=INSTRUCTIONS)


def _dropped(
    identified: Sequence[IdentifiedRequest], entries: Mapping[str, LedgerEntry], left_out: Mapping[str, Dropped]
) -> tuple[Dropped, ...]:
    dropped = []
    for request in sorted(identified, key=lambda one: one.request.sample_id):
        entry = entries.get(request.request_id)
        if entry is not None and entry.state == "quarantined":
            dropped.append(Dropped(request.request.sample_id, entry.reason, entry.detail))
        elif entry is None or entry.state == "pending":
            dropped.append(left_out[request.request_id])
    return tuple(dropped)
