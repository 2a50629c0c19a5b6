"""Environments and habits of the machines that the command is called on: each works, or is refused in one sentence."""

import getpass
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import requests

from flows.environment import (
    CODE_FOLDER,
    FolderNameError,
    StateNotWritableError,
    check_code,
    configure_environment,
)
from tasks.platform.run_files import git_commit, uncommitted_changes
from tests.flows.command import Ended, presel, start_presel
from tests.flows.small_project import make_project
from tests.project_environment import project_environment

PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing has run; no server is there."""
    return make_project(tmp_path_factory.mktemp("environment") / "project")


@pytest.fixture(scope="module")
def nobody() -> str:
    """An address where nothing answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(scope="module")
def somebody() -> Iterator[str]:
    """A server that lets nobody in."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def refused(done: Ended, *words: str) -> None:
    """A command was refused, in one sentence with these words."""
    assert done.code == 2, done.output
    assert "Traceback" not in done.output
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("named_in", [".env", "profile"])
def test_a_prefect_server_is_looked_at_wherever_prefect_has_its_name_from(
    root: Path, tmp_path: Path, nobody: str, named_in: str
) -> None:
    variables: dict[str, str] = {}
    if named_in == ".env":
        file = root / ".env"
        file.write_text(f"PREFECT_API_URL={nobody}/api\n", encoding="utf-8")
    else:
        file = tmp_path / "profiles.toml"
        file.write_text(f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{nobody}/api"\n', encoding="utf-8")
        variables = {"PREFECT_HOME": str(tmp_path)}
    done = start_presel(root, "deploy", variables=variables)
    file.unlink()
    refused(done, f"{nobody}/api", "does not answer", "PREFECT_API_URL")


@pytest.mark.parametrize("spelling", PROXY_VARIABLES)
def test_loopback_is_never_asked_through_a_proxy(
    root: Path, monkeypatch: pytest.MonkeyPatch, nobody: str, somebody: str, spelling: str
) -> None:
    for name in (*PROXY_VARIABLES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(spelling, nobody)
    monkeypatch.setenv("no_proxy", "example.org")
    with project_environment(root):
        assert os.environ["no_proxy"].startswith("example.org,")
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"]
        for address in (somebody, somebody.replace("127.0.0.1", "localhost")):
            assert httpx.get(address).status_code == 401
            assert requests.get(address, timeout=5).status_code == 401
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(address)


def test_mlflow_on_loopback_is_reached_beside_a_proxy(
    root: Path, monkeypatch: pytest.MonkeyPatch, nobody: str, somebody: str
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    refused(presel(root, "verify", MLFLOW_TRACKING_URI=somebody, http_proxy=nobody), "refuses this project")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1:21"])
def test_a_proxy_that_cannot_be_used_is_refused(root: Path, proxy: str) -> None:
    refused(presel(root, "pipeline", ALL_PROXY=proxy), "ALL_PROXY", "proxy that cannot be used")


def test_the_environment_of_another_clone_is_refused(root: Path) -> None:
    refused(start_presel(root, "run", code=CODE_FOLDER), str(CODE_FOLDER), str(root), ".venv")


def test_a_stage_by_itself_is_run_by_the_code_of_its_project_alone(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "flows.stage", "ingest"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CODE_FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    refused(Ended(done.returncode, done.stdout, done.stderr), str(CODE_FOLDER), str(root))


def test_a_variable_that_is_empty_is_not_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with project_environment(root):
        own = os.environ["MLFLOW_TRACKING_URI"]
    refused(presel(root, "lineage", "1", MLFLOW_TRACKING_URI=""), "no run and no version '1'")
    assert own == f"sqlite:///{root}/.presel/mlflow.db"


def test_a_project_without_its_git_repository_says_what_to_do(root: Path) -> None:
    (root / ".git").rename(root / "git")
    try:
        refused(presel(root, "plan"), "is not a git repository", "git init")
    finally:
        (root / "git").rename(root / ".git")


def test_a_commit_that_is_asked_for_needs_an_identity_before_anything_starts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    refused(presel(root, "plan", "--set", "versioning.commit_to_git=true"), "user.email", "commit_to_git")


def test_a_user_without_a_name_has_one_for_libraries(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with project_environment(root):
        assert getpass.getuser() == "uid-54321"
        assert Path.home() == root / ".presel"


def test_the_commit_of_a_checkout_that_belongs_to_another_user_is_recorded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch
    monkeypatch.setattr(os, "geteuid", lambda: root.stat().st_uid + 1)
    (head,) = (file for file in (root / ".git/refs/heads").iterdir())
    with project_environment(root):
        assert git_commit() == head.read_text(encoding="utf-8").strip()
        assert uncommitted_changes() == b""


def test_a_state_that_another_user_owns_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(StateNotWritableError, match="cannot be written by user"):
        configure_environment(tmp_path)


def test_a_terminal_that_lacks_letters_gets_escapes(root: Path) -> None:
    """A name of a task or a file must not end a command at its last line."""
    done = start_presel(root, "plan", "--name", "颜 色", variables={"PYTHONIOENCODING": "latin-1"})
    assert (done.code, "Traceback" in done.output) == (2, False)
    assert "\\u989c" in done.output or "颜" in done.output


def test_what_the_system_refuses_is_one_sentence(root: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = start_presel(root, "pipeline", stdout=full)
    assert done.code == 1
    assert done.stderr.startswith("presel: [Errno 28] No space left on device. Free space where the project")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_stream_that_is_closed_gives_its_number_to_no_file(root: Path, closed: str) -> None:
    """What is said would be written into it."""
    program = "from flows.command_line.main import _open_closed_streams as opened; opened(); import os, sys; "
    program += "print('x'); print('y', file=sys.stderr); number = os.open('f', os.O_CREAT); sys.exit(number)"
    called = ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, program]
    done = subprocess.run(called, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode > 2
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_written_is_one_sentence(root: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))  # bytes of a file, as a full disk
    try:
        done = presel(root, "plan")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (done.code, "Traceback" in done.output) == (1, False), done.output
    assert "a database in .presel cannot be used (disk I/O error)" in done.stderr


def test_state_on_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / ".presel").symlink_to(tmp_path / "unmounted" / "state")
    with pytest.raises(StateNotWritableError, match=r"is a link to .*unmounted/state, which is not there"):
        configure_environment(tmp_path)


def test_a_folder_that_is_gone_and_one_that_dvc_cannot_work_in(root: Path, tmp_path: Path) -> None:
    command = (
        f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && {sys.executable} -P -m flows.command_line.main"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, check=False
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert b"has been deleted" in done.stderr
    for name in ("a {b}", "what?", "$HOME", "100%", 'it\'s "it"'):
        with pytest.raises(FolderNameError, match=re.escape(name)):
            check_code(tmp_path / name)


def test_a_variable_of_git_names_no_other_repository(root: Path, tmp_path: Path) -> None:
    """As somebody has it who keeps his settings in a repository of his own, or who calls from a hook."""
    own = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True).stdout
    subprocess.run(["git", "init", "-q", str(tmp_path / "other")], check=True)
    with pytest.MonkeyPatch.context() as patch, project_environment(root):
        patch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
        patch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
        configure_environment(root)
        assert git_commit().removesuffix("-dirty") == own.strip()


def test_an_argument_that_is_no_text_is_refused(root: Path) -> None:
    ended = presel(root, "explain", os.fsdecode(b"caf\xe9"))
    assert (ended.code, ended.stderr) == (2, "presel: the argument 'caf\\udce9' is not text in UTF-8\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_CONFIG_COUNT", "many"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:mine"),
        ("MLFLOW_TRACKING_URI", "http://[::1"),
        ("MLFLOW_TRACKING_INSECURE_TLS", "perhaps"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(root: Path, name: str, value: str) -> None:
    refused(presel(root, "pipeline", **{name: value}), name, "cannot be used")


@pytest.mark.parametrize(("name", "value"), [("PREFECT_API_REQUEST_TIMEOUT", "soon"), ("HF_HUB_ETAG_TIMEOUT", "soon")])
def test_what_a_library_reads_at_its_import_is_named(root: Path, name: str, value: str) -> None:
    done = start_presel(root, "pipeline", variables={name: value})
    assert (done.code, "Traceback" in done.output) == (2, False), done.output
    said = done.stderr.splitlines()[-1]  # Prefect warns by itself before
    assert said.startswith("presel: ")
    assert name in said


@pytest.mark.parametrize("address", ["nowhere://runs", "/tmp/runs", "mysql://u:p@127.0.0.1:1/runs", "sqlite:///{file}"])
def test_an_address_where_mlflow_cannot_keep_runs_is_named(root: Path, tmp_path: Path, address: str) -> None:
    (tmp_path / "file").write_text("no database\n" * 100, encoding="utf-8")
    named = address.format(file=tmp_path / "file")
    refused(presel(root, "lineage", MLFLOW_TRACKING_URI=named), "MLFLOW_TRACKING_URI", "sqlite:///FILE")


@pytest.mark.parametrize("port", ["0", "70000", "5000"], ids=["none", "too high", "that of MLflow"])
def test_a_port_that_no_server_can_have_is_refused(root: Path, port: str) -> None:
    ended = presel(root, "ui", "--prefect-port", port)
    assert (ended.code, "Traceback" in ended.output) == (2, False)
    assert "prefect-port" in ended.stderr or "port 5000" in ended.stderr
