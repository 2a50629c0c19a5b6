"""The whole server stack as real processes: a project runs on it, it is stopped, started, backed up and restored."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml

from tests.flows.small_project import CHECKOUT, make_project
from tests.postgresql import programs

pytestmark = [pytest.mark.soak, pytest.mark.postgresql, pytest.mark.timeout(900)]

HELLO = """
from prefect import flow

@flow
def hello() -> str:
    return "done"
"""


@dataclass(frozen=True)
class Stack:
    project: Path
    folder: Path
    environment: dict[str, str]

    def call(self, *arguments: str, expect: int = 0) -> str:
        """A command of the stack, in the project."""
        return self.shell(["bash", "infra/stack.sh", *arguments], expect=expect)

    def shell(self, command: list[str], *, expect: int = 0) -> str:
        """A command in the project, with the environment's programs on the path."""
        done = subprocess.run(
            command, cwd=self.project, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def documented(self, heading: str, **replaced: str) -> str:
        """The commands that the operator's manual gives under a heading; `make stack` calls the script."""
        text = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
        section = text.split(f"\n### {heading}\n")[1].split("\n### ")[0].split("\n## ")[0]
        block = re.search(r"(?:^    .*\n)+", section, re.MULTILINE)
        assert block is not None
        commands = block[0].replace("make stack", "infra/stack.sh start")
        for old, new in {"/mnt/backup/presel": str(self.folder.parent / "backups"), **replaced}.items():
            assert old in commands
            commands = commands.replace(old, new)
        return self.shell(["bash", "-euo", "pipefail", "-c", commands])

    def client(self) -> dict[str, str]:
        """The environment after `source client.env`."""
        lines = (self.folder / "client.env").read_text(encoding="utf-8").splitlines()
        return {**self.environment, **dict(line.removeprefix("export ").split("=", 1) for line in lines)}

    def run(self, *command: str) -> str:
        """A command of a user who sourced client.env."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.project,
            env=self.client(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def counts(self, database: str) -> dict[str, int]:
        """Rows of every table."""
        secrets = dict(line.split("=") for line in (self.folder / "secrets.env").read_text().splitlines())
        with psycopg.connect(
            host="127.0.0.1",
            port=self.environment["PRESEL_STACK_POSTGRESQL_PORT"],
            user=database,
            password=secrets[f"postgresql_{database}"],
            dbname=database,
        ) as connection:
            tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
            return {name: connection.execute(f'select count(*) from "{name}"').fetchall()[0][0] for (name,) in tables}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack with a small project that has gone through it once."""
    if programs() is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    project = make_project(tmp_path_factory.mktemp("stack"))
    shutil.copytree(CHECKOUT / "infra", project / "infra", dirs_exist_ok=True)
    shutil.copy(CHECKOUT / "conf" / "stack.yaml", project / "conf" / "stack.yaml")
    (project / "hello.py").write_text(HELLO, encoding="utf-8")
    deployment = {"name": "hello", "entrypoint": "hello.py:hello", "work_pool": {"name": "presel"}}
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}]
    (project / "prefect.yaml").write_text(yaml.safe_dump({"pull": pull, "deployments": [deployment]}), encoding="utf-8")
    # Not in pytest's folders: PostgreSQL's user may not enter those of root.
    above = Path(tempfile.mkdtemp(prefix="presel-stack-"))
    above.chmod(0o711)
    names = ("POSTGRESQL", "OBJECTS", "PREFECT", "MLFLOW")
    left_out = ("PREFECT_", "MLFLOW_", "DVC_", "PG", "AWS_", "PRESEL_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(left_out)},
        **{f"PRESEL_STACK_{name}_PORT": str(port) for name, port in zip(names, free_ports(4), strict=True)},
        "PRESEL_STACK_FOLDER": str(above / "stack"),
        "PYTHONPATH": str(project),
        "PRESEL_BIN": str(Path(sys.executable).parent),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # as with the environment activated
    }
    running = Stack(project, above / "stack", environment)
    try:
        running.call("start")
        own = ("--name", "stack", "--set", "baselines=[]")
        running.run("flows.command_line.main", "run", "--params", "conf/stack.yaml", *own)
        yield running
    finally:
        running.call("stop")
        shutil.rmtree(above)


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_what_a_run_did_is_on_the_stack(stack: Stack) -> None:
    prefect, mlflow, ledger = (stack.counts(name) for name in ("prefect", "mlflow", "ledger"))
    assert prefect["flow_run"] >= 1
    assert prefect["task_run"] > 10
    assert mlflow["runs"] > 3
    assert mlflow["model_versions"] == 1
    assert ledger["requests"] >= 36
    assert not (stack.project / ".presel" / "ledger.sqlite").exists()
    assert not (stack.project / ".presel" / "mlflow.db").exists()
    assert any((stack.folder / "objects" / "mlflow").rglob("report.html"))
    assert any((stack.folder / "objects" / "mlflow").rglob("adapter_model.safetensors"))


def test_artifacts_come_back_from_the_object_store(stack: Stack) -> None:
    workspace = stack.project / "runs" / "stack"
    selection = workspace / "data" / "selection" / "selection.parquet"
    before = selection.read_bytes()
    shutil.rmtree(workspace / "data")
    shutil.rmtree(stack.project / ".dvc" / "cache")
    stack.run("dvc", "pull", str(workspace / "dvc.yaml"))
    assert selection.read_bytes() == before


def test_nobody_gets_in_without_a_password(stack: Stack) -> None:
    client = stack.client()
    prefect, mlflow = client["PREFECT_API_URL"], client["MLFLOW_TRACKING_URI"]
    asked = [
        ("GET", f"{prefect}/admin/version"),
        ("POST", f"{prefect}/flow_runs/filter"),
        ("POST", f"{prefect}/work_pools/filter"),
        ("POST", f"{prefect}/deployments/filter"),
        ("GET", f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=5"),
        ("GET", f"{mlflow}/api/2.0/mlflow/registered-models/search"),
        ("GET", f"{mlflow}/api/2.0/mlflow-artifacts/artifacts"),
        ("GET", f"{mlflow}/"),
    ]
    for login in (None, ("presel", "wrong")):
        answers = [httpx.request(method, url, auth=login, timeout=30).status_code for method, url in asked]
        assert answers == [401] * len(asked)
    store = f"http://127.0.0.1:{client['PRESEL_STACK_OBJECTS_PORT']}"
    assert [httpx.get(f"{store}{path}").status_code for path in ("/", "/dvc", "/mlflow")] == [400, 400, 400]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://ledger:wrong@127.0.0.1:{client['PGPORT']}/ledger")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(f"postgresql://127.0.0.1:{client['PGPORT']}/mlflow", user="ledger", passfile=passfile(stack))


def passfile(stack: Stack) -> str:
    """The ledger's password for every database."""
    own = Path(stack.client()["PGPASSFILE"]).read_text(encoding="utf-8")
    file = stack.project / "any-database"
    file.write_text(own.replace(":ledger:ledger:", ":*:ledger:"), encoding="utf-8")
    file.chmod(0o600)
    return str(file)


def test_secrets_are_for_the_owner_alone_and_on_no_command_line(stack: Stack) -> None:
    lines = (stack.folder / "secrets.env").read_text(encoding="utf-8").splitlines()
    passwords = [line.partition("=")[2] for line in lines]
    assert len(set(passwords)) == 8
    files = [path for path in stack.folder.rglob("*") if path.is_file()]
    open_to_others = [path for path in files if path.stat().st_mode & 0o077 and path.parent.stat().st_mode & 0o001]
    assert open_to_others == []
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert [word for word in passwords if any(word.encode() in command for command in commands)] == []


def test_stopped_and_started_everything_is_there(stack: Stack) -> None:
    before = {name: stack.counts(name) for name in ("mlflow", "ledger")}
    runs = stack.counts("prefect")["flow_run"]
    stack.documented("Back up")

    stack.call("stop")
    assert "nothing runs" in stack.call("status", expect=1)
    assert "remote = stack" not in (stack.project / ".dvc" / "config.local").read_text(encoding="utf-8")
    folder = stack.folder.parent / "restored"
    restored = Stack(stack.project, folder, {**stack.environment, "PRESEL_STACK_FOLDER": str(folder)})
    with socket.create_server(("127.0.0.1", int(stack.environment["PRESEL_STACK_PREFECT_PORT"]))):
        assert "PRESEL_STACK_PREFECT_PORT" in stack.call("start", expect=1)
    stack.call("stop")
    restored.documented("Restore")
    assert {name: restored.counts(name) for name in before} == before
    assert restored.counts("prefect")["flow_run"] >= runs
    kept, copied = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (stack.folder / "objects", restored.folder / "objects")
    )
    assert kept == copied
    assert "stop it first" in restored.call("clean", expect=1)
    restored.call("stop")
    restored.call("upgrade")  # to the versions that are there: nothing to do, and only PostgreSQL runs meanwhile
    assert "nothing runs" in restored.call("status", expect=1)
    restored.call("clean")
    assert not folder.exists()

    stack.call("start")
    assert {name: stack.counts(name) for name in before} == before
    assert stack.counts("prefect")["flow_run"] >= runs
    # The worker runs what prefect.yaml deploys.
    stack.run("prefect", "deployment", "run", "hello/hello", "--watch")


@pytest.mark.parametrize(
    ("variables", "secrets", "said"),
    [
        ({"PRESEL_STACK_OBJECTS_PORT": "80"}, None, "PRESEL_STACK_OBJECTS_PORT is '80'"),
        ({"PRESEL_STACK_OBJECTS_PORT": "http"}, None, "allowed is a port"),
        ({"PRESEL_STACK_OBJECTS_PORT": "5000", "PRESEL_STACK_MLFLOW_PORT": "5000"}, None, "two services"),
        ({"PRESEL_STACK_FOLDER": "/tmp/" + "x" * 120}, None, "PRESEL_STACK_FOLDER to a shorter"),
        ({}, "mlflow=it's\n", "letters, digits"),
        ({}, "minio=abc\n", "'minio' is not"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    variables: dict[str, str], secrets: str | None, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "stack"
    if secrets is not None:
        folder.mkdir()
        (folder / "secrets.env").write_text(secrets, encoding="utf-8")
        (folder / "secrets.env").chmod(0o600)
    environment = {**os.environ, "PRESEL_STACK_FOLDER": str(folder), **variables}
    refused = Stack(CHECKOUT, folder, environment).call("start", expect=1)
    assert said in refused
    assert not (folder / "postgresql").exists()


def test_passwords_that_others_can_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("", encoding="utf-8")
    (tmp_path / "secrets.env").chmod(0o644)
    environment = {**os.environ, "PRESEL_STACK_FOLDER": str(tmp_path)}
    assert "chmod 600" in Stack(CHECKOUT, tmp_path, environment).call("start", expect=1)
