"""Telling MLflow, or keeping it on disk until MLflow answers again: a run never fails because MLflow is away.

What is kept is told in order. While something about a run is kept, everything new about it is kept behind it.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from pydantic import ValidationError

from tasks.platform.tracking import (
    TrackingAwayError,
    TrackingRefusedError,
    check_answers,
    experiment_id,
    mlflow_errors,
    shown_address,
    tracking_client,
)
from tasks.platform.tracking_operations import LogFile, LogValues, MetricValue, OpenRun, Operation, RunStatus, SetStatus
from tasks.platform.tracking_send import LOCAL, UnknownRunError, tell
from tasks.platform.tracking_spool import (
    SPOOL,
    SpooledOperation,
    count_waiting,
    forget,
    is_waiting,
    keep,
    only_sender,
    refuse,
    remove_leftovers,
    runs_of,
    waiting,
)

logger = logging.getLogger("presel.tracking")
_ASK_AGAIN_SECONDS = 30.0
_TRUST_SECONDS = 5.0  # after an answer, the server is taken to be there


@dataclass
class _Contact:
    """What this process knows of the server; times are of the monotonic clock."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    answered: float | None = None
    away: float | None = None
    warned: bool = False


_contact = _Contact()


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending came to.

    Attributes:
        sent: operations that MLflow has now.
        refused: operations that it did not take; they are kept with their reasons.
        left: operations still to be sent.
        away: why sending stopped; empty when MLflow was there.
    """

    sent: int
    refused: int
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
        Its id in MLflow; while MLflow is away, a local identity that every function here takes in its place, and
        that MLflow gets as the tag `presel.run`.
    """
    identity = f"{LOCAL}{uuid4().hex}"
    told = record(OpenRun(run=identity, name=name, parent=parent, tags=tuple(tags), started_ms=now_ms()))
    return told or identity


def log_values(
    run: str,
    *,
    metrics: Sequence[MetricValue] = (),
    params: Sequence[tuple[str, str]] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> None:
    """Keep numbers, parameters and tags with a run."""
    record(LogValues(run=run, metrics=tuple(metrics), params=tuple(params), tags=tuple(tags)))


def log_file(run: str, file: str) -> None:
    """Keep a file with a run."""
    record(LogFile(run=run, file=file))


def set_status(run: str, status: RunStatus) -> None:
    """End a run, or let it go on."""
    record(SetStatus(run=run, status=status, at_ms=now_ms()))


def run_page(run: str) -> str:
    """Where a run's page is; for a database without a server, and while MLflow is away, its name."""
    address = shown_address()
    if run.startswith(LOCAL):
        return f"run {run} (tag presel.run; MLflow was away)"
    if not address.startswith("http") or not is_there():
        return f"run {run}"
    try:
        with mlflow_errors():
            return f"{address}/#/experiments/{experiment_id(tracking_client())}/runs/{run}"
    except TrackingAwayError:
        return f"run {run}"


def record(operation: Operation) -> str | None:
    """Tell MLflow, or keep it.

    Args:
        operation: what.

    Returns:
        What `tell` returns, or None: it is kept.

    Raises:
        mlflow.exceptions.MlflowException: MLflow is there and does not accept it.
    """
    with _contact.lock:
        try:
            _check_contact()
            if is_waiting(runs_of(operation)):
                send_spooled()
            if not is_waiting(runs_of(operation)):
                with mlflow_errors():
                    told = tell(operation)
                _contact.answered = time.monotonic()
                return told
        except (TrackingAwayError, TrackingRefusedError) as error:
            _note_away(error)
        keep(operation)
        return None


def send_spooled() -> Sent:
    """Tell MLflow what was kept, in order.

    Returns:
        How it went; MLflow being away, or another process sending already, is no error.

    Raises:
        TrackingRefusedError: the credentials are wrong.
    """
    with _contact.lock, only_sender() as mine:
        if not mine:
            return Sent(0, 0, count_waiting(), "another process is sending")
        sent = put_aside = after = 0
        away = ""
        try:
            if count_waiting():
                check_answers()
            while entries := waiting(after=after):
                for entry, problem in _tell_all(entries):
                    after = entry.sequence
                    if problem is None:
                        forget(entry)
                        sent += 1
                    else:
                        refuse(entry, problem)
                        put_aside += 1
        except TrackingAwayError as error:
            _note_away(error)
            away = str(error)
        remove_leftovers()
        if sent:
            logger.info("MLflow has %d operations that were kept while it was away", sent)
        if put_aside:
            logger.warning("MLflow did not take %d operations; `presel sync` lists them", put_aside)
        return Sent(sent, put_aside, count_waiting(), away)


def contact_at_start() -> Sent:
    """Begin a run's contact with MLflow: send what was kept, and find wrong credentials before any work is done.

    Returns:
        How sending went; MLflow being away is no error.

    Raises:
        TrackingRefusedError: MLflow does not let this project in, or what answers is not MLflow.
    """
    with _contact.lock:
        _contact.away = None
        _contact.warned = False
        try:
            check_answers()
            with mlflow_errors():
                experiment_id(tracking_client())
            _contact.answered = time.monotonic()
        except TrackingAwayError as error:
            _note_away(error)
            return Sent(0, 0, count_waiting(), str(error))
        return send_spooled()


def is_there() -> bool:
    """Whether MLflow answers, as far as this process knows."""
    with _contact.lock:
        try:
            _check_contact()
        except (TrackingAwayError, TrackingRefusedError) as error:
            _note_away(error)
            return False
        return True


def _check_contact() -> None:
    """Ask at most every half minute a server that was away, and one that is there every few seconds."""
    now = time.monotonic()
    if _contact.away is not None and now - _contact.away < _ASK_AGAIN_SECONDS:
        raise TrackingAwayError("it was away a moment ago")
    if _contact.answered is None or now - _contact.answered > _TRUST_SECONDS:
        check_answers()
        _contact.answered = now
    _contact.away = None


def _note_away(error: TrackingAwayError | TrackingRefusedError) -> None:
    now = time.monotonic()
    if _contact.away is None or now - _contact.away >= _ASK_AGAIN_SECONDS:
        _contact.away = now
    _contact.answered = None
    if not _contact.warned:
        _contact.warned = True
        logger.warning(
            "MLflow at %s cannot be told (%s). The run goes on; what MLflow is to know is kept in %s and sent when it "
            "answers: later in this run, by the next one, or by `presel sync`",
            shown_address(),
            error,
            SPOOL,
        )


def _tell_all(entries: Sequence[SpooledOperation]) -> Iterator[tuple[SpooledOperation, str | None]]:
    """Tell MLflow in order, values of a run that follow each other in one request; yields why it did not take one."""
    for group in _together(entries):
        problem = _tell_kept(_joined(group)) if len(group) > 1 else None
        for entry in group:
            yield entry, _tell_kept(entry.operation) if len(group) == 1 or problem is not None else None


def _together(entries: Sequence[SpooledOperation]) -> Iterator[list[SpooledOperation]]:
    """Values of one run that follow each other; every other operation alone."""
    group: list[SpooledOperation] = []
    for entry in entries:
        values = isinstance(entry.operation, LogValues)
        if group and not (values and entry.operation.run == group[0].operation.run):
            yield group
            group = []
        group.append(entry)
        if not values:
            yield group
            group = []
    if group:
        yield group


def _joined(group: Sequence[SpooledOperation]) -> LogValues:
    operations = [entry.operation for entry in group if isinstance(entry.operation, LogValues)]
    return LogValues(
        run=operations[0].run,
        metrics=tuple(metric for operation in operations for metric in operation.metrics),
        params=tuple(param for operation in operations for param in operation.params),
        tags=tuple(dict(tag for operation in operations for tag in operation.tags).items()),
    )


def _tell_kept(operation: Operation) -> str | None:
    """Why MLflow does not take it, or None: it has it."""
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    try:
        with mlflow_errors():
            tell(operation)
    except (MlflowException, HTTPError, UnknownRunError, FileNotFoundError, ValidationError) as error:
        return f"{type(error).__name__}: {error}"
    return None
