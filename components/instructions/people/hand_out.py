"""Hands requests out to people: each is out at most once, and the ledger knows where it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.compute.progress import Progress, no_progress
from components.instructions.ledger.batches import open_batches_of
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import Ledger, find_entries
from components.instructions.ledger.workers import registered_worker
from components.instructions.people.export import ExportedTasks, export_for_people
from components.instructions.people.files import TABLE_FILE
from components.instructions.people.provider import PEOPLE
from components.instructions.people.written import read_written
from components.instructions.provider import Failure, Send, Setback
from components.instructions.request import IdentifiedRequest
from components.output_folder import check_output_folder
from components.training_set.export import ExportError


@dataclass(frozen=True, slots=True)
class HandOut:
    """What was handed out.

    Attributes:
        tasks: what was written; None when there was nothing to hand out, and then nothing was written.
        settled: requests that are answered or quarantined already.
        out: requests that are out already, or that another purchase has in hand; they were not handed out again.
        out_in: where those are out, sorted, e.g. `people 3 /data/to-write`.
        taken_back: earlier hand-outs that were closed first.
    """

    tasks: ExportedTasks | None
    settled: int
    out: int
    out_in: tuple[str, ...]
    taken_back: int


def hand_out_to_people(
    ledger: Ledger,
    requests: Sequence[IdentifiedRequest],
    target: Path,
    *,
    run: str,
    pixel_limit: int,
    again: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> HandOut:
    """Record requests as handed out, then write them for people.

    A sample whose image cannot be decoded is quarantined, as every provider does; one whose file is not there, or has
    changed, stays open for a later hand-out. When writing fails, what was recorded is taken back.

    Args:
        ledger: where it is recorded.
        requests: what is wanted; those that are settled or out already are left out.
        target: folder to write; must be empty or new unless `overwrite`.
        run: label of the curation run.
        pixel_limit: pixels above which an image is not decoded.
        again: take earlier hand-outs of these requests back first, so that all that is unanswered is handed out. What
            comes back of an earlier one can be imported all the same.
        overwrite: write into a folder that holds something already.
        progress: told about images.

    Raises:
        ImagesAwayError: many images in a row cannot be had.
        OutputFolderError: the folder cannot be written as asked.
        ExportError: it holds instructions that people have written.
        WrittenFileError: the folder's table cannot be read to see whether it does.
    """
    check_output_folder(target, overwrite=overwrite)
    _keep_what_is_written(target / TABLE_FILE)
    distinct = tuple({one.request_id: one for one in requests}.values())
    entries = find_entries(ledger, [one.request_id for one in distinct])
    wanted = [one for one in distinct if one.request_id not in entries or entries[one.request_id].state == "pending"]
    with registered_worker(ledger, run=run) as worker:
        book = LedgerBook(ledger, provider=PEOPLE, run=run, worker=worker)
        try:
            taken_back = _take_back(book, wanted) if again else 0
            number, granted = _claim(book, wanted, reference=str(target.resolve()))
            left = [one.request_id for one in wanted if one not in granted]
            tasks = None
            if granted:
                tasks = _write(book, number, granted, target, pixel_limit, overwrite=overwrite, progress=progress)
        finally:
            book.release()
    return HandOut(
        tasks=tasks,
        settled=len(distinct) - len(wanted),
        out=len(left),
        out_in=tuple(sorted(set(open_batches_of(ledger, left).values()))),
        taken_back=taken_back,
    )


def _keep_what_is_written(table: Path) -> None:
    """Refuse to replace a table that somebody has filled in."""
    if not table.exists():
        return
    # What cannot be read may have been written.
    written = sum(bool(row.fault) or any(turn.response for turn in row.turns) for row in read_written(table))
    if written:
        raise ExportError(
            f"{table} holds {written} written instructions, which would be lost; import them, then name another folder "
            "or move the file away"
        )


def _take_back(book: LedgerBook, wanted: Sequence[IdentifiedRequest]) -> int:
    ids = {one.request_id for one in wanted}
    # A ledger may be shared: what others have handed out stays out.
    mine = [batch for batch in book.adopt_batches(PEOPLE) if any(one.request_id in ids for one in batch.requests)]
    for batch in mine:
        book.close_batch(batch.number)
    return len(mine)


def _claim(
    book: LedgerBook, wanted: Sequence[IdentifiedRequest], *, reference: str
) -> tuple[int, tuple[IdentifiedRequest, ...]]:
    """Record as out what is free; returns the batch's number and what is in it."""
    if not wanted:
        return 0, ()
    number = book.open_batch(PEOPLE)
    book.name_batch(number, reference)
    free = book.announce([Send(one, batch=number) for one in wanted])
    granted = tuple(one for one, may in zip(wanted, free, strict=True) if may)
    if not granted:
        book.close_batch(number)
    return number, granted


def _write(
    book: LedgerBook,
    number: int,
    granted: Sequence[IdentifiedRequest],
    target: Path,
    pixel_limit: int,
    *,
    overwrite: bool,
    progress: Progress,
) -> ExportedTasks:
    tasks = None
    try:
        tasks = export_for_people(granted, target, pixel_limit=pixel_limit, overwrite=overwrite, progress=progress)
        ids = {one.request.sample_id: one.request_id for one in granted}
        book.settle([Failure(ids[lost.sample_id], lost.reason, lost.detail) for lost in tasks.dropped])
        book.settle([Setback(ids[late.sample_id], "refused", late.reason, late.detail) for late in tasks.left_out])
    finally:
        if tasks is None or not tasks.count:
            book.close_batch(number)
    return tasks
