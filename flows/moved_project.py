"""A checkout that was moved or copied: what MLflow and Prefect keep inside it by absolute paths follows it.

Otherwise runs of a copy would be written into the original, and those of a checkout that was moved would be lost.
"""

import fcntl
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from components.errors import UserError
from components.storage import write_text

_PLACE = "place"  # the file that says where the project was when it was last used
_MLFLOW, _ARTIFACTS = "mlflow.db", "mlflow-artifacts"
_DATABASES = (_MLFLOW, "prefect/prefect.db", "spool/operations.sqlite")
_BUSY_SECONDS = 60.0


class MovedProjectError(UserError, RuntimeError):
    """What the project keeps names another place, and cannot be made to follow now."""


def follow_move(project_root: Path, state: Path) -> None:
    """Rewrite the absolute paths of MLflow's database and models and of Prefect's results, if the project has moved.

    Args:
        project_root: where it is now, resolved.
        state: the folder of it that the tools keep their state in.

    Raises:
        MovedProjectError: a run works in the project under its other path, or a database does not let itself be
            written.
    """
    now = str(project_root)
    with (state / _PLACE).open("a+", encoding="utf-8", errors="surrogateescape") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        record.seek(0)
        before = record.read()
        if not Path(before).is_absolute():  # new, or damaged
            before = _named_place(state)
        if before == now:
            return
        if before:
            _check_idle(before, now, state)
            _rewrite(before, now, state)
        record.truncate(0)
        record.write(now)


def _named_place(state: Path) -> str:
    try:
        return _place_that_mlflow_names(state)
    except sqlite3.Error as error:
        raise MovedProjectError(
            f"MLflow's database {state / _MLFLOW} cannot be read ({error}); restore it from a backup, or move it away: "
            "then the runs that it knows are lost, and a run makes a new one"
        ) from error


def _place_that_mlflow_names(state: Path) -> str:
    """Where the project was when an earlier version, which kept no record of it, used it; empty when it never did."""
    if not (state / _MLFLOW).is_file():
        return ""
    with closing(sqlite3.connect(state / _MLFLOW)) as database:
        if not database.execute("select 1 from sqlite_master where name = 'experiments'").fetchone():
            return ""
        tail = f"/{state.name}/{_ARTIFACTS}"
        for (location,) in database.execute("select artifact_location from experiments"):
            if location and location.startswith("file://") and location.endswith(tail):
                return unquote(urlsplit(location).path).removesuffix(tail)
    return ""


def _check_idle(before: str, now: str, state: Path) -> None:
    """A folder may have two paths at a time, such as a container's; a run that works in it knows one of them."""
    for lock in (state / "locks" / "workspaces").glob("*"):
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MovedProjectError(
                    f"a run works in this project under the path {before}, and here it is {now}: wait until it has "
                    "ended, or call presel where it was called"
                ) from None


def _rewrite(before: str, now: str, state: Path) -> None:
    # A path that merely ends like the old one is another.
    old = re.compile(f"file://{re.escape(quote(before))}/|(?<![\\w.-]){re.escape(before)}/")

    def moved(text: str) -> str:
        return old.sub(lambda found: f"file://{quote(now)}/" if found[0].startswith("file:") else f"{now}/", text)

    for file in (*(state / "prefect" / "storage").rglob("*"), *(state / _ARTIFACTS).rglob("MLmodel")):
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
            if moved(text) != text:
                write_text(file, moved(text))
    for name in _DATABASES:
        if (state / name).is_file():
            try:
                _rewrite_database(state / name, (f"{before}/", f"{quote(before)}/"), moved)
            except sqlite3.Error as error:
                raise MovedProjectError(
                    f"this project was moved or copied from {before} to {now}, and {state / name}, which holds paths "
                    f"of there, cannot be rewritten ({error}): end what has it open (`presel ui`) and call presel again"
                ) from error


def _rewrite_database(file: Path, old: tuple[str, str], moved: Callable[[str], str]) -> None:
    with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS)) as database, database:
        database.create_function("moved", 1, moved, deterministic=True)
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, *_ in database.execute(f'pragma table_info("{table}")').fetchall():
                query = (
                    f'update "{table}" set "{column}" = moved("{column}") where typeof("{column}") = \'text\' '  # noqa: S608 -- names of the database's own
                    f'and (instr("{column}", ?) or instr("{column}", ?))'
                )
                database.execute(query, old)
