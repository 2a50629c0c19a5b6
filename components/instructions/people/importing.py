"""Takes instructions that people have written into the ledger, each of them once."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import select

from components.instructions.chat import prompt_of
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import Ledger, LedgerEntry, chunks, find_entries
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS, identified_request_of
from components.instructions.ledger.workers import registered_worker
from components.instructions.people.provider import PEOPLE
from components.instructions.people.written import Written, read_written
from components.instructions.prompts import Prompt, PromptTemplate
from components.instructions.provider import Answer, OpenBatch, Send
from components.instructions.replies.readable import unreadable
from components.instructions.replies.response_rules import RuleBrokenError, read_response
from components.instructions.request import IdentifiedRequest
from components.pool.reasons import ReasonCount
from components.pool.samples import Turn

# What becomes of an entry of a file.
#   imported: taken into the ledger now.
#   already_imported: the ledger holds the same answer.
#   answered_differently: the ledger, or this file above, holds another answer, which is kept.
#   not_written: nothing stands there yet.
#   unreadable: it cannot be told what stands there.
#   rule_broken: the request stays out; the entry can be corrected and imported again.
#   unknown_request: it was never handed out to people through this ledger.
#   quarantined: the request was given up before, and the sample with it.
#   in_use: another import has the request in hand; import the file again when that has ended.
Verdict = Literal[
    "imported",
    "already_imported",
    "answered_differently",
    "not_written",
    "unreadable",
    "rule_broken",
    "unknown_request",
    "quarantined",
    "in_use",
]
_REQUEST_ID = re.compile(r"^[0-9a-f]{64}$")
# What a spreadsheet puts in the place of a text that it took for a formula and could not work out.
_SPREADSHEET_ERROR = re.compile(r"^(?:#(?:NAME\?|REF!|VALUE!|DIV/0!|N/A|NULL!|NUM!|ERROR!)|Err:[0-9]{3})$")


@dataclass(frozen=True, slots=True)
class CheckedEntry:
    """One entry of a file, and what became of it.

    Attributes:
        where: in the file, e.g. `row 3`.
        request_id: as it stands there.
        verdict: what became of it.
        reason: of `rule_broken`: the rule, as `RuleBrokenError.reason`, or `question_changed`, `spreadsheet_error`,
            `not_text`; else empty.
        detail: what exactly, for a person; may be empty.
    """

    where: str
    request_id: str
    verdict: Verdict
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PeopleImport:
    """What became of a file.

    Attributes:
        entries: of the file, in its order.
        price_usd: dollars that were booked.
        still_out: requests of the hand-outs that the file belongs to that have no answer yet.
    """

    entries: tuple[CheckedEntry, ...]
    price_usd: float
    still_out: int

    @property
    def imported(self) -> int:
        """Instructions taken into the ledger now."""
        return sum(entry.verdict == "imported" for entry in self.entries)

    @property
    def counts(self) -> tuple[ReasonCount, ...]:
        """Entries per verdict, a broken rule under its own name; the most frequent first, ties by name."""
        counted = Counter(entry.reason or entry.verdict for entry in self.entries)
        return tuple(
            ReasonCount(name, count) for name, count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
        )


def import_from_people(ledger: Ledger, file: Path, *, price_per_instruction_usd: float, run: str) -> PeopleImport:
    """Check what people have written against the rules of its template, and book what keeps them.

    Importing a file again, or a corrected one, books only what is new. What is not booked stays out, so that it can be
    written or corrected.

    Args:
        ledger: that recorded the hand-out.
        file: see `components.instructions.people.written.read_written`.
        price_per_instruction_usd: dollars booked for each.
        run: label of the curation run.

    Returns:
        What became of every entry of the file.

    Raises:
        WrittenFileError: the file is not one that people give back.
    """
    written = read_written(file)
    ids = sorted({one.request_id for one in written if _REQUEST_ID.match(one.request_id)})
    with registered_worker(ledger, run=run) as worker:
        book = LedgerBook(ledger, provider=PEOPLE, run=run, worker=worker)
        try:
            batches = book.adopt_batches(PEOPLE)
            requests = _handed_out(ledger, ids)
            checked, answers = _judge_all(written, requests, find_entries(ledger, ids), price_per_instruction_usd)
            refused = _claim_what_is_not_out(book, batches, [requests[name] for name in answers])
            booked = [answer for name, answer in answers.items() if name not in refused]
            book.settle(booked)
            still_out = _close_finished(book, ledger, batches, hand_outs=_hand_outs(ledger, ids))
        finally:
            book.release()
    return PeopleImport(
        entries=tuple(_in_use(entry) if entry.request_id in refused else entry for entry in checked),
        price_usd=price_per_instruction_usd * len(booked),
        still_out=still_out,
    )


def check_turns(turns: Sequence[Turn], *, template: PromptTemplate, prompt: Prompt) -> tuple[str, tuple[Turn, ...]]:
    """Hold what a person wrote to the rules that a model's response is held to.

    Args:
        turns: as written, without outer blanks.
        template: that asked for it.
        prompt: the template filled in.

    Returns:
        The text that was checked, as a model would have sent it, and the turns.

    Raises:
        RuleBrokenError: it is not usable.
    """
    for number, turn in enumerate(turns, start=1):
        for text in (turn.question, turn.response):
            if _SPREADSHEET_ERROR.match(text):
                detail = f"turn {number} is {text!r}: a spreadsheet took it for a formula; write it again after a '"
                raise RuleBrokenError("spreadsheet_error", detail)
            if unreadable(text):
                raise RuleBrokenError("not_text", f"turn {number} {unreadable(text)} (is the file UTF-8?)")
    if template.writes == "conversation":
        pairs = [{"question": turn.question, "response": turn.response} for turn in turns]
        text = json.dumps({"turns": pairs}, ensure_ascii=False)
        return text, read_response(text, template, question="")
    if len(turns) != 1:
        raise RuleBrokenError("turn_count", f"{len(turns)} turns; one response to the question is wanted")
    if turns[0].question.split() != prompt.question.split():
        raise RuleBrokenError(
            "question_changed", f"the question is {prompt.question!r}, not {turns[0].question[:160]!r}"
        )
    return turns[0].response, read_response(turns[0].response, template, question=prompt.question)


def _judge_all(
    written: Sequence[Written],
    requests: Mapping[str, IdentifiedRequest],
    entries: Mapping[str, LedgerEntry],
    price_usd: float,
) -> tuple[list[CheckedEntry], dict[str, Answer]]:
    held = {name: entry.turns for name, entry in entries.items() if entry.state == "answered"}
    checked: list[CheckedEntry] = []
    answers: dict[str, Answer] = {}
    for one in written:
        name = one.request_id
        if one.fault:
            checked.append(CheckedEntry(one.where, name, "unreadable", detail=one.fault))
        elif not one.turns:
            checked.append(CheckedEntry(one.where, name, "not_written", detail=one.note))
        elif name not in requests:
            checked.append(
                CheckedEntry(one.where, name, "unknown_request", detail="never handed out through this ledger")
            )
        elif entries[name].state == "quarantined":
            checked.append(
                CheckedEntry(one.where, name, "quarantined", detail=f"{entries[name].reason}: {entries[name].detail}")
            )
        else:
            judged = _judge(one, requests[name], held.get(name), price_usd)
            if isinstance(judged, Answer):
                answers[name], held[name] = judged, judged.turns
                checked.append(CheckedEntry(one.where, name, "imported"))
            else:
                checked.append(judged)
    return checked, answers


def _judge(
    one: Written, identified: IdentifiedRequest, held: tuple[Turn, ...] | None, price_usd: float
) -> Answer | CheckedEntry:
    template, prompt = prompt_of(identified)
    turns = _with_given_question(one.turns, prompt)
    if turns == (Turn(prompt.question, ""),):
        return CheckedEntry(one.where, one.request_id, "not_written", detail="only the question that was given")
    if held == turns:
        return CheckedEntry(one.where, one.request_id, "already_imported")
    if held is not None:
        return CheckedEntry(one.where, one.request_id, "answered_differently", detail="the first answer is kept")
    try:
        raw_text, turns = check_turns(turns, template=template, prompt=prompt)
    except RuleBrokenError as error:
        return CheckedEntry(one.where, one.request_id, "rule_broken", error.reason, error.detail)
    model = f"{PEOPLE}: {one.author}" if one.author else PEOPLE
    return Answer(one.request_id, turns, model, raw_text, price_usd=price_usd)


def _with_given_question(turns: tuple[Turn, ...], prompt: Prompt) -> tuple[Turn, ...]:
    """A question that the template gives need not be repeated."""
    if prompt.question and not turns[0].question:
        return (replace(turns[0], question=prompt.question), *turns[1:])
    return turns


def _handed_out(ledger: Ledger, ids: Sequence[str]) -> dict[str, IdentifiedRequest]:
    """The requests that were handed out to people at some time."""
    found = {}
    with ledger.engine.connect() as connection:
        for some in chunks(ids):
            known = REQUESTS.c.request_id.in_(some)
            for row in connection.execute(select(REQUESTS).where(known, REQUESTS.c.provider == PEOPLE)):
                found[row.request_id] = identified_request_of(row)
    return found


def _claim_what_is_not_out(
    book: LedgerBook, batches: Sequence[OpenBatch], answered: Sequence[IdentifiedRequest]
) -> set[str]:
    """Claim what was handed out and taken back, and comes all the same; returns what cannot be claimed."""
    out = {one.request_id for batch in batches for one in batch.requests}
    late = [one for one in answered if one.request_id not in out]
    free = book.announce([Send(one) for one in late])
    return {one.request_id for one, may in zip(late, free, strict=True) if not may}


def _hand_outs(ledger: Ledger, ids: Sequence[str]) -> set[int]:
    """The numbers of the batches that requests have been in."""
    numbers: set[int] = set()
    with ledger.engine.connect() as connection:
        for some in chunks(ids):
            known = ATTEMPTS.c.request_id.in_(some)
            numbers |= set(connection.execute(select(ATTEMPTS.c.batch).where(known, ATTEMPTS.c.batch > 0)).scalars())
    return numbers


def _close_finished(book: LedgerBook, ledger: Ledger, batches: Sequence[OpenBatch], *, hand_outs: set[int]) -> int:
    """Close what has every answer; returns how many answers the file's hand-outs lack."""
    still_out = 0
    for batch in batches:
        entries = find_entries(ledger, [one.request_id for one in batch.requests])
        left = sum(entry.state == "pending" for entry in entries.values())
        if not left:
            book.close_batch(batch.number)
        elif batch.number in hand_outs:
            still_out += left
    return still_out


def _in_use(entry: CheckedEntry) -> CheckedEntry:
    if entry.verdict not in ("imported", "already_imported", "answered_differently"):
        return entry
    return replace(entry, verdict="in_use", detail="another import or purchase has it in hand; import the file again")
