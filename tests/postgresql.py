"""A PostgreSQL server of the tests' own, from the programs of the system (Debian: `apt-get install postgresql`)."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WHERE_DEBIAN_PUTS_IT = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None when the system has no PostgreSQL server."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    installed = sorted(WHERE_DEBIAN_PUTS_IT.glob("*/bin/pg_ctl"))
    return installed[-1].parent if installed else None


@contextmanager
def running_server() -> Iterator[str]:
    """Start a server with an empty database in a temporary folder; yields its SQLAlchemy URL.

    The server refuses to run as root, so there it runs as the user that the system's package made.
    """
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    # Not in pytest's folders: the server's user may not enter those of root.
    folder = Path(tempfile.mkdtemp(prefix="presel-postgresql-"))
    data = folder / "data"
    user = "postgres" if os.getuid() == 0 else None
    groups = None if user is None else ()
    if user is not None:
        shutil.chown(folder, "postgres", "postgres")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def call(program: str, *arguments: str) -> None:
        command = [str(bin_folder / program), *arguments]
        done = subprocess.run(
            command, cwd="/", user=user, group=user, extra_groups=groups, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    call("initdb", "-D", str(data), "-A", "trust", "-U", "presel", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    # The log goes to a file: a server that held the tests' pipe would keep them from ending.
    call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://presel@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder)
