"""The stack's PostgreSQL: programs of the system, a data folder of its own, one role and database per service."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from infra.stack.passwords import Passwords, write_private
from infra.stack.settings import HOST, StackError, StackSettings

ADMIN = "presel"
# Every role owns the database of its name.
DATABASES = ("prefect", "mlflow", "ledger")
_WHERE_DEBIAN_PUTS_IT = Path("/usr/lib/postgresql")
_UNPRIVILEGED = "postgres"


def data_folder(settings: StackSettings) -> Path:
    """Where the databases are."""
    return settings.folder / "postgresql" / "data"


def server_user() -> str | None:
    """Who runs the server when the caller is root, which PostgreSQL refuses to be run by; else None."""
    return _UNPRIVILEGED if os.getuid() == 0 else None


def program(settings: StackSettings, name: str) -> Path:
    """One of PostgreSQL's programs, of the version that wrote the data when there is some.

    Raises:
        StackError: no PostgreSQL server is installed, or not that version.
    """
    folders = {path.parent.parent.name: path.parent for path in _WHERE_DEBIAN_PUTS_IT.glob("*/bin/postgres")}
    on_path = shutil.which("postgres")
    if on_path:
        folder = Path(on_path).resolve().parent
        shown = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=True).stdout
        folders.setdefault(shown.split()[2].split(".")[0], folder)
    if not folders:
        raise StackError("no PostgreSQL server is installed (Debian, Ubuntu: apt-get install postgresql)")
    written_by = data_folder(settings) / "PG_VERSION"
    version = written_by.read_text().strip() if written_by.exists() else max(folders, key=int)
    if version not in folders:
        raise StackError(
            f"{data_folder(settings)} was written by PostgreSQL {version}, installed is {', '.join(sorted(folders))}; "
            f"install {version}, or restore a back-up into a new folder (docs/operations.md)"
        )
    return folders[version] / name


def create_data_folder(settings: StackSettings, passwords: Passwords) -> None:
    """Make an empty database cluster, once.

    Raises:
        StackError: PostgreSQL's user may not enter the folder, or `initdb` fails.
    """
    data = data_folder(settings)
    if data.exists():
        return
    data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial, password_file = data.with_name("data.partial"), data.with_name("password")
    shutil.rmtree(partial, ignore_errors=True)
    write_private(password_file, passwords.postgresql_admin)
    user = server_user()
    command = [str(program(settings, "initdb")), "--pgdata", str(partial), "--username", ADMIN]
    command += ["--auth", "scram-sha-256", "--pwfile", str(password_file), "--encoding", "UTF8", "--locale", "C"]
    if user is not None:
        for path in (data.parent, password_file):
            _give(path, user)
        _check_enterable(data.parent, user)
    done = _run_as(user, command)
    password_file.unlink()
    if done.returncode != 0:
        raise StackError(f"initdb failed:\n{done.stdout}{done.stderr}")
    partial.rename(data)


def server_command(settings: StackSettings) -> list[str]:
    """The server in the foreground, reachable through the loopback address only."""
    options = {
        "port": str(settings.postgresql_port),
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "max_connections": "200",
    }
    set_options = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [str(program(settings, "postgres")), "-D", str(data_folder(settings)), *set_options]


def admin_connection(settings: StackSettings, passwords: Passwords) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection as the superuser, outside any transaction."""
    return psycopg.connect(
        host=HOST,
        port=settings.postgresql_port,
        user=ADMIN,
        password=passwords.postgresql_admin,
        dbname="postgres",
        autocommit=True,
        connect_timeout=5,
    )


def create_databases(settings: StackSettings, passwords: Passwords) -> None:
    """Make the roles and databases that are missing, and give every role the password it has in the file."""
    chosen = {
        "prefect": passwords.postgresql_prefect,
        "mlflow": passwords.postgresql_mlflow,
        "ledger": passwords.postgresql_ledger,
    }
    with admin_connection(settings, passwords) as connection:
        roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
        databases = {row[0] for row in connection.execute("select datname from pg_database")}
        for name in DATABASES:
            verb = sql.SQL("alter" if name in roles else "create")
            role, password = sql.Identifier(name), sql.Literal(chosen[name])
            connection.execute(sql.SQL("{} role {} login password {}").format(verb, role, password))
            if name not in databases:
                connection.execute(sql.SQL("create database {} owner {}").format(role, role))
                connection.execute(sql.SQL("revoke connect on database {} from public").format(role))


def _run_as(user: str | None, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    groups = None if user is None else ()
    return subprocess.run(
        command, cwd="/", user=user, group=user, extra_groups=groups, capture_output=True, text=True, check=False
    )


def _give(path: Path, user: str) -> None:
    try:
        shutil.chown(path, user, user)
    except LookupError:
        raise StackError(
            f"PostgreSQL does not run as root, and there is no user {user!r} to run it as; call `make stack` as an "
            "ordinary user, or install PostgreSQL's package, which makes that user"
        ) from None


def _check_enterable(folder: Path, user: str) -> None:
    allowed = _run_as(user, ["test", "-x", str(folder)])
    if allowed.returncode != 0:
        raise StackError(
            f"PostgreSQL runs as user {user!r}, who may not enter {folder}; call `make stack` as an ordinary user, "
            "or set PRESEL_STACK_FOLDER to a folder below one that all may enter"
        )
