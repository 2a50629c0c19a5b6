"""Gets the instructions of chosen samples, each of them once."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.instructions.ledger import (
    Ledger,
    LedgerEntry,
    exclusive_purchase,
    find_entries,
    record_asking,
    record_outcomes,
)
from components.instructions.provider import InstructionProvider
from components.instructions.request import IdentifiedRequest, InstructionRequest, identify_request
from components.progress import Progress, no_progress
from components.records import Dropped
from components.schemas import INSTRUCTIONS

_LOG = logging.getLogger(__name__)


class InstructionError(RuntimeError):
    """Instructions were asked for and none came, or the provider did not keep its promise."""


@dataclass(frozen=True, slots=True)
class BuyResult:
    """What came of a purchase.

    Attributes:
        instructions: columns of `components.schemas.INSTRUCTIONS`, sorted by sample id.
        dropped: samples without a usable instruction, sorted by sample id.
        asked: requests that were sent now.
        reused: requests whose outcome was in the ledger already; they cost nothing now.
        asked_again: samples that an earlier run had asked for without recording an outcome; sent once more.
        price_usd: dollars that this purchase cost.
    """

    instructions: pa.Table
    dropped: tuple[Dropped, ...]
    asked: int
    reused: int
    asked_again: tuple[str, ...]
    price_usd: float


def buy_instructions(
    requests: Sequence[InstructionRequest],
    *,
    provider: InstructionProvider,
    ledger: Ledger,
    progress: Progress = no_progress,
    run: str = "",
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
    with exclusive_purchase(ledger):
        known = find_entries(ledger, [request.request_id for request in identified])
        open_requests = [
            request
            for request in identified
            if request.request_id not in known or known[request.request_id].state == "pending"
        ]
        asked_again = tuple(request.request.sample_id for request in open_requests if request.request_id in known)
        _warn_of_lost(asked_again)
        price_usd = _ask(open_requests, provider, ledger, progress, run, total=len(identified))
        entries = known | find_entries(ledger, [request.request_id for request in open_requests])
    result = BuyResult(
        instructions=_instructions(identified, entries),
        dropped=_dropped(identified, entries),
        asked=len(open_requests),
        reused=len(identified) - len(open_requests),
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
            "%d instructions were asked for by a run that ended before the outcome was recorded; "
            "they are asked for once more: %s",
            len(asked_again),
            ", ".join(asked_again),
        )


def _ask(
    requests: Sequence[IdentifiedRequest],
    provider: InstructionProvider,
    ledger: Ledger,
    progress: Progress,
    run: str,
    *,
    total: int,
) -> float:
    done = total - len(requests)
    progress(done, total)
    if not requests:
        return 0.0
    price_usd = 0.0

    def announce(sent: Sequence[IdentifiedRequest]) -> None:
        record_asking(ledger, sent, provider=provider.name, run=run)

    for outcomes in provider.ask(requests, before_asking=announce):
        record_outcomes(ledger, outcomes)
        price_usd += sum(outcome.price_usd for outcome in outcomes)
        done += len(outcomes)
        progress(done, total)
    if done != total:
        raise InstructionError(
            f"provider {provider.name!r} gave no outcome for {total - done} of {len(requests)} requests; "
            "they are asked again by the next run"
        )
    return price_usd


def _instructions(identified: Sequence[IdentifiedRequest], entries: dict[str, LedgerEntry]) -> pa.Table:
    rows = []
    for request in sorted(identified, key=lambda one: one.request.sample_id):
        entry = entries[request.request_id]
        if entry.state != "answered":
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


def _dropped(identified: Sequence[IdentifiedRequest], entries: dict[str, LedgerEntry]) -> tuple[Dropped, ...]:
    return tuple(
        Dropped(request.request.sample_id, entry.reason, entry.detail)
        for request in sorted(identified, key=lambda one: one.request.sample_id)
        if (entry := entries[request.request_id]).state != "answered"
    )
