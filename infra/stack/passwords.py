"""The stack's passwords: drawn on its first start, kept in one file that only its owner may read."""

import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from infra.stack.settings import StackError

FILE = "secrets.env"


@dataclass(frozen=True, slots=True, repr=False)
class Passwords:
    """One password per account; letters, digits, `-` and `_` only, so that they need no quoting anywhere.

    Attributes:
        postgresql_admin: of the database's superuser `presel`.
        postgresql_prefect: of the role and database `prefect`.
        postgresql_mlflow: of the role and database `mlflow`.
        postgresql_ledger: of the role and database `ledger`.
        objects: secret key of the object store.
        prefect: of Prefect's API and pages, user `presel`.
        mlflow: of MLflow's administrator `presel`, as it was when the stack was made.
        mlflow_forms: key that MLflow signs its forms with.
    """

    postgresql_admin: str
    postgresql_prefect: str
    postgresql_mlflow: str
    postgresql_ledger: str
    objects: str
    prefect: str
    mlflow: str
    mlflow_forms: str


def passwords_of(folder: Path) -> Passwords:
    """Read the passwords of a stack, drawing those that it does not have yet.

    Raises:
        StackError: the file can be read by others or holds a line that is none of its own.
    """
    file = folder / FILE
    known: dict[str, str] = {}
    if file.exists():
        if file.stat().st_mode & 0o077:
            raise StackError(f"{file} can be read by others; draw new passwords or `chmod 600 {file}`")
        known = dict(_entry(file, line) for line in file.read_text(encoding="utf-8").splitlines() if line)
    names = [field.name for field in fields(Passwords)]
    unknown = sorted(set(known) - set(names))
    if unknown:
        raise StackError(f"{file} names {', '.join(unknown)}; it may name {', '.join(names)}")
    passwords = Passwords(**{name: known.get(name) or secrets.token_urlsafe(24) for name in names})
    if asdict(passwords) != known:
        write_private(file, "".join(f"{name}={value}\n" for name, value in asdict(passwords).items()))
    return passwords


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, at once."""
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    partial.rename(file)


def _entry(file: Path, line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals or not value.replace("-", "").replace("_", "").isalnum():
        raise StackError(f"{file}: the line of {name!r} is not NAME=PASSWORD with letters, digits, - and _ only")
    return name, value
