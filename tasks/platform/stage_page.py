"""What the Prefect UI shows of a stage: its progress while it runs, a page and tables when it is done."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import TaskRunContext

from tasks.platform.stage_tables import StageTable, markdown_page, stage_tables

logger = logging.getLogger("presel.stage")
PROGRESS_SECONDS = 2.0


def publish_stage_page(
    stage: str, note: str, directory: Path, *, own_tables: Callable[[Path], list[StageTable]] | None = None
) -> None:
    """Put a page about a finished stage on its task run, and its main tables beside it.

    Args:
        stage: its name.
        note: one line about what it did.
        directory: its artifact.
        own_tables: what is worth showing of it beside what it left out.
    """
    if TaskRunContext.get() is None:
        return
    tables = stage_tables(directory, own_tables)
    with _no_failure():
        create_markdown_artifact(markdown_page(stage, note, tables), key=_key(stage), description=note)
        for table in tables:
            if table.followed:
                rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
                create_table_artifact(rows, key=f"{_key(stage)}-{table.name}", description=table.title)


class LoggedProgress:
    """Progress as log lines, with rate and time left, and as a bar in the Prefect UI.

    Args:
        what: is counted, such as `embedded images:`.
        log: where a line goes.
    """

    def __init__(self, what: str, log: Callable[[str], None]) -> None:
        self._what = what
        self._log = log
        self._started = time.monotonic()
        self._last = self._started
        self._found: int | None = None
        self._bar: UUID | None = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Log where the stage is; quiet when the last line is younger than two seconds."""
        now = time.monotonic()
        if self._found is None:
            # What an earlier run had done says nothing about how fast this one is.
            self._found, self._started = (done, now) if done < total else (0, self._started)
        if self._bar is not None and done >= total:
            self._show(100.0)
        if now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        rate = max(0, done - self._found) / max(now - self._started, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 and total > done else ""
        shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
        self._log(f"{self._what} {done:,} of {total:,} ({shown}/s{left}){', ' + note if note else ''}")
        self._show(100.0 * min(done, total) / max(total, 1))

    def _show(self, percent: float) -> None:
        context = TaskRunContext.get()
        if context is None:
            return
        with _no_failure():
            if self._bar is None:
                key = f"{_key(context.task_run.name)}-progress"
                bar = create_progress_artifact(percent, key=key, description=self._what.rstrip(":"))
                assert isinstance(bar, UUID)
                self._bar = bar
            else:
                update_progress_artifact(self._bar, percent)


@contextmanager
def _no_failure() -> Iterator[None]:
    """What is only shown must not cost a stage its work: a server that is away is told of nothing."""
    try:
        yield
    except httpx.HTTPError as error:
        logger.warning("the Prefect UI was not told: %s", error)


def _key(name: str) -> str:
    """Prefect allows lower-case letters, digits and dashes."""
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name.lower()).strip("-")
