"""Brings the tables of a ledger to the form that this program writes."""

from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, inspect, text

from components.errors import UserError

LATEST = "0003"
# Of ledgers that were made before migrations were.
_UNVERSIONED_TABLE = "ledger_schema"
_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that no one else uses: PostgreSQL's advisory locks are numbered for the whole database.
_POSTGRESQL_LOCK = 0x50_52_45_53
_UNKNOWN = (
    f"the ledger has version {{version}}, this program knows versions up to {LATEST}: use the program that wrote it, "
    "or another ledger"
)


class LedgerVersionError(UserError, RuntimeError):
    """A ledger was written by another program, a newer one or, where it may not be changed, an older one."""


def is_up_to_date(engine: Engine) -> bool:
    """Look whether a ledger has its tables, without changing it.

    Args:
        engine: the ledger.

    Returns:
        True; False when it has none at all.

    Raises:
        LedgerVersionError: it has those of another version.
    """
    with engine.connect() as connection:
        version = _version(connection)
    if version in (None, LATEST):
        return version is not None
    if version in {file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("0*.py")}:
        raise LedgerVersionError(
            f"the ledger has version {version} of an older program, and is only looked at here: `presel batches list` "
            f"brings it up to date ({LATEST}), as the next run does; copy it first if the older program still needs it"
        )
    raise LedgerVersionError(_UNKNOWN.format(version=version))


def migrate(engine: Engine, writer: Engine) -> Literal[True]:
    """Make the ledger's tables, or bring them up to date; nothing that was recorded is lost.

    Processes that do so at the same time wait for each other; nobody waits where there is nothing to do.

    Args:
        engine: the ledger, for reading.
        writer: the same, for writing.

    Raises:
        LedgerVersionError: the ledger is of a version that this program does not know.
    """
    with engine.connect() as connection:
        if _version(connection) == LATEST:
            return True
    with writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRESQL_LOCK})
        version = _version(connection)
        if version != LATEST:
            _upgrade(connection, version)
    return True


def _version(connection: Connection) -> str | None:
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return "0001" if _UNVERSIONED_TABLE in tables else None


def _upgrade(connection: Connection, version: str | None) -> None:
    # Loaded here: a ledger that is up to date needs no migration tool.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise LedgerVersionError(_UNKNOWN.format(version=version))
    if version == "0001" and _UNVERSIONED_TABLE in inspect(connection).get_table_names():
        command.stamp(config, "0001")
        connection.execute(text(f"DROP TABLE {_UNVERSIONED_TABLE}"))
    command.upgrade(config, LATEST)
