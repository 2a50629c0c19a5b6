"""What MLflow is to know, written to the journal first and told from it in order: at once while MLflow answers.

A run never fails because MLflow is away, and does not wait for it: what is not told now is told later in the run, by
the next one, or by `presel sync`. An entry that MLflow does not take is put aside with the reason.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar
from uuid import uuid4

from pydantic import ValidationError

from tasks.platform.journal_entries import (
    LogFile,
    LogValues,
    MetricValue,
    OpenRun,
    Operation,
    RegisterAdapter,
    RunStatus,
    SetStatus,
    joined,
)
from tasks.platform.journal_store import (
    JOURNAL,
    JournalEntry,
    append,
    count_waiting,
    only_sender,
    settle,
    waiting,
    waiting_elsewhere,
)
from tasks.platform.journal_telling import LOCAL, UnknownRunError, known_id, tell
from tasks.platform.tag_names import RUN_TAG
from tasks.platform.tracking import (
    TrackingAwayError,
    TrackingRefusedError,
    check_answers,
    experiment_id,
    mlflow_errors,
    shown_address,
    tracking_client,
)

logger = logging.getLogger("presel.tracking")
T = TypeVar("T")
_ASK_AGAIN_SECONDS = 30.0
_ENTRIES_AT_ONCE = 1000
_TRUST_SECONDS = 5.0  # after an answer, the server is taken to be there
# Another process that sends is waited for so long where MLflow's answer is wanted at once: a run's id, a version.
_PATIENCE_SECONDS = 5.0
_WANTED_AT_ONCE = (OpenRun, RegisterAdapter, SetStatus)


@dataclass
class _Contact:
    """What this process knows of the server; times are of the monotonic clock."""

    ask_from: float = 0.0
    trust_until: float = 0.0
    warned: bool = False


_contact = _Contact()


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending came to.

    Attributes:
        sent: entries that MLflow has now.
        left: entries that still wait for this server.
        away: why sending stopped; empty when MLflow was there.
    """

    sent: int
    left: int
    away: str = ""


def now_ms() -> int:
    """The time as MLflow writes it."""
    return time.time_ns() // 1_000_000


def open_run(name: str, *, parent: str | None = None, tags: Sequence[tuple[str, str]] = ()) -> str:
    """Begin a run.

    Args:
        name: for people.
        parent: the run it is nested in.
        tags: as (name, value).

    Returns:
        Its id in MLflow; where MLflow has not been told yet, its identity in the journal, which every function here
        takes in the id's place.
    """
    identity = f"{LOCAL}{uuid4().hex}"
    record(OpenRun(run=identity, name=name, parent=parent, tags=tuple(tags), started_ms=now_ms()))
    return known_id(identity)


def log_values(
    run: str,
    *,
    metrics: Sequence[tuple[str, float]] = (),
    step: int = 0,
    params: Sequence[tuple[str, str]] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> None:
    """Keep numbers of one moment, parameters and tags with a run, each as (name, value)."""
    now = now_ms()
    values = tuple(MetricValue(name=name, value=value, step=step, measured_ms=now) for name, value in metrics)
    record(LogValues(run=run, metrics=values, params=tuple(params), tags=tuple(tags)))


def log_file(run: str, file: str) -> None:
    """Keep a file, as it is now, with a run."""
    record(LogFile(run=run, file=file))


def set_status(run: str, status: RunStatus) -> None:
    """End a run, or let it go on."""
    record(SetStatus(run=run, status=status, at_ms=now_ms()))


def record(operation: Operation) -> None:
    """Write an operation down durably, then tell MLflow of it and of what waits before it, if MLflow answers."""
    append(operation)
    if time.monotonic() >= _contact.ask_from:
        send(wait=isinstance(operation, _WANTED_AT_ONCE))


def send(*, wait: bool = True) -> Sent:
    """Tell the configured server what waits for it, in order.

    Args:
        wait: a moment for another process that is sending.

    Returns:
        How it went; MLflow being away, or another process sending, is no error.
    """
    with only_sender(patience=_PATIENCE_SECONDS if wait else 0.0) as mine:
        if not mine:
            return Sent(0, count_waiting(), "another process is sending")
        sent = put_aside = 0
        away = ""
        try:
            for told, problems in _tell_waiting():
                sent += told - problems
                put_aside += problems
        except (TrackingAwayError, TrackingRefusedError, OSError) as error:  # OSError: of a store that is a folder
            _note_away(error)
            away = str(error)
    if put_aside:
        logger.warning("MLflow did not take %d entries of the journal; `presel sync` lists them", put_aside)
    return Sent(sent, count_waiting(), away)


def start_telling() -> Sent:
    """Begin a run's contact with MLflow: send what waits, and find wrong credentials before any work is done.

    Returns:
        How sending went; MLflow being away is no error.

    Raises:
        TrackingRefusedError: MLflow does not let this project in, or what answers is not MLflow.
    """
    _contact.ask_from = _contact.trust_until = 0.0
    _contact.warned = False
    for server, count in waiting_elsewhere():
        logger.warning("%s entries of the journal wait for %s; `presel sync` says what to do", f"{count:,}", server)
    try:
        _check_contact()
        with mlflow_errors():
            experiment_id(tracking_client())
    except TrackingAwayError as error:
        _note_away(error)
        return Sent(0, count_waiting(), str(error))
    return send()


def ask(question: Callable[[], T]) -> T | None:
    """What MLflow answers to a question; None while it is away."""
    if time.monotonic() < _contact.ask_from:
        return None
    try:
        _check_contact()
        with mlflow_errors():
            return question()
    except (TrackingAwayError, TrackingRefusedError) as error:
        _note_away(error)
        return None


def run_page(run: str) -> str:
    """Where a run's page is; for a database without a server, and while MLflow is away, its name."""
    if run.startswith(LOCAL):
        return f"run {run} (tag {RUN_TAG}; MLflow was away)"
    address = shown_address()
    experiment = ask(lambda: experiment_id(tracking_client())) if address.startswith("http") else None
    return f"run {run}" if experiment is None else f"{address}/#/experiments/{experiment}/runs/{run}"


def _check_contact() -> None:
    """Ask a server that is there every few seconds: MLflow's own requests would wait for minutes."""
    if time.monotonic() >= _contact.trust_until:
        check_answers()
        _contact.trust_until = time.monotonic() + _TRUST_SECONDS


def _note_away(error: Exception) -> None:
    _contact.ask_from = time.monotonic() + _ASK_AGAIN_SECONDS
    _contact.trust_until = 0.0
    if not _contact.warned:
        _contact.warned = True
        logger.warning(
            "MLflow at %s cannot be told (%s). The run goes on; what MLflow is to know is kept in %s and told when it "
            "answers: later in this run, by the next one, or by `presel sync`",
            shown_address(),
            error,
            JOURNAL,
        )


def _tell_waiting() -> Iterator[tuple[int, int]]:
    """Tell what waits now; what others write meanwhile they tell themselves. Yields (entries, refused of these)."""
    left, after = count_waiting(), 0
    if left:
        _check_contact()
    while left and (entries := waiting(after=after, limit=min(left, _ENTRIES_AT_ONCE))):
        left, after = left - len(entries), entries[-1].sequence
        for _, group in groupby(entries, key=_together):
            members = tuple(group)
            problems = _tell_group(members)
            settle(members, problems)
            yield len(members), len(problems)


def _together(entry: JournalEntry) -> tuple[str, int]:
    """Equal for values of one run that follow each other, which are told in one request."""
    return (entry.run, 0) if isinstance(entry.operation, LogValues) else ("", entry.sequence)


def _tell_group(entries: Sequence[JournalEntry]) -> dict[int, str]:
    """Why MLflow does not take entries, by their numbers; nothing of those that it has now."""
    values = [entry.operation for entry in entries if isinstance(entry.operation, LogValues)]
    if len(values) > 1 and not _tell(joined(values)):
        return {}
    problems = ((entry.sequence, _tell(entry.operation) if entry.operation else entry.problem) for entry in entries)
    return {sequence: problem for sequence, problem in problems if problem}


def _tell(operation: Operation) -> str:
    """Why MLflow does not take it; empty: it has it."""
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    try:
        with mlflow_errors():
            tell(operation)
    except (MlflowException, HTTPError, UnknownRunError, FileNotFoundError, ValidationError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
