"""The roles and databases of the containers' PostgreSQL, made by a real server."""

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.imports_of import ROOT
from tests.postgresql import programs, running_server

NAMES = ("prefect", "mlflow", "ledger")


@pytest.mark.postgresql
def test_every_service_has_a_database_that_is_its_own() -> None:
    with running_server() as url:
        folder = programs()
        assert folder is not None
        address = url.replace("postgresql+psycopg", "postgresql")
        passwords = {f"{name.upper()}_ROLE_PASSWORD": f"of '{name}" for name in NAMES}
        script = Path(ROOT / "infra" / "postgresql-roles.sql")
        subprocess.run(
            [folder / "psql", "--no-psqlrc", "--file", script, address],
            env={**os.environ, **passwords},
            capture_output=True,
            check=True,
        )
        with psycopg.connect(address) as connection:
            found = connection.execute(
                "select datname, rolname from pg_database join pg_roles r on r.oid = datdba where datname = any(%s)",
                [list(NAMES)],
            ).fetchall()
            assert sorted(found) == sorted((name, name) for name in NAMES)
            for name in NAMES:
                for other in NAMES:
                    row = connection.execute(
                        "select has_database_privilege(%s, %s, 'connect')", [name, other]
                    ).fetchone()
                    assert row == (name == other,)
