"""Back-up of a running stack into a folder, and a new stack from one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from infra.stack import postgresql
from infra.stack.lifecycle import prepare, start_services
from infra.stack.passwords import FILE, Passwords, passwords_of, write_private
from infra.stack.settings import HOST, StackError, StackSettings
from infra.stack.supervision import stop_supervisor

RECORD = "backup.json"
_OBJECTS = "objects"


def back_up(settings: StackSettings, target: Path) -> Path:
    """Copy the databases, the passwords and every object that the target does not hold yet.

    The databases come first: what a row refers to was stored before the row, so it is among the objects, however long
    their copy takes. Objects are never removed from the target.

    Args:
        settings: a running stack.
        target: a folder for all back-ups of this stack, best on another disk.

    Returns:
        The folder of this back-up, which is complete when it exists.

    Raises:
        StackError: a database cannot be read, or an object cannot be copied.
    """
    passwords = passwords_of(settings.folder)
    folder = target / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, mode=0o700)
    for name in postgresql.DATABASES:
        file = partial / f"{name}.dump"
        _postgresql(settings, passwords, "pg_dump", "--format", "custom", "--file", str(file), name)
        file.chmod(0o600)
    shutil.copy2(settings.folder / FILE, partial / FILE)
    _copy_objects(settings.objects, target / _OBJECTS)
    versions = {name: version(name) for name in ("prefect", "mlflow", "dvc")}
    write_private(partial / RECORD, json.dumps({"versions": versions}, indent=2) + "\n")
    partial.rename(folder)
    return folder


def restore(settings: StackSettings, folder: Path, *, say: Callable[[str], None]) -> None:
    """Make a new stack of a back-up; it is stopped afterwards.

    Args:
        settings: a stack that does not exist yet.
        folder: a back-up, as `back_up` returns it, beside the objects of all.
        say: takes a line for a person.

    Raises:
        StackError: the folder holds no complete back-up, there is a stack already, or a database cannot be read in.
    """
    if not (folder / RECORD).is_file():
        raise StackError(f"{folder} holds no complete back-up: {RECORD} is not there")
    if settings.folder.exists():
        raise StackError(
            f"{settings.folder} exists, and a back-up is restored into a new stack only; move it away, or "
            "`make stack-clean` when nothing in it is needed"
        )
    settings.folder.mkdir(parents=True)
    shutil.copy2(folder / FILE, settings.folder / FILE)
    _copy_objects(folder.parent / _OBJECTS, settings.objects)
    passwords = prepare(settings)
    start_services(settings, passwords, "postgresql", say=say)
    postgresql.create_databases(settings, passwords)
    for name in postgresql.DATABASES:
        file = str(folder / f"{name}.dump")
        _postgresql(
            settings, passwords, "pg_restore", "--exit-on-error", "--no-owner", "--role", name, "--dbname", name, file
        )
    stop_supervisor(settings)


def _postgresql(settings: StackSettings, passwords: Passwords, program: str, *arguments: str) -> None:
    connection = {
        "PGHOST": HOST,
        "PGPORT": str(settings.postgresql_port),
        "PGUSER": postgresql.ADMIN,
        "PGPASSWORD": passwords.postgresql_admin,
    }
    command = [str(postgresql.program(settings, program)), *arguments]
    _run(command, f"{program} of {arguments[-1]}", connection)


def _copy_objects(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    rclone = str(Path(sys.executable).parent / "rclone")
    # What an upload that is under way has written so far is no object yet.
    command = [rclone, "copy", str(source), str(target), "--exclude", ".rclone_temp_put_*", "--create-empty-src-dirs"]
    _run(command, f"copying objects from {source} to {target}", {"RCLONE_CONFIG": "/dev/null"})


def _run(command: list[str], what: str, environment: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"{what} failed:\n{done.stdout}{done.stderr}")
