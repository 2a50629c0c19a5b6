"""The command as a user calls it: exit codes and messages."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.flows.command import presel


@pytest.fixture(scope="module")
def root(new_project: Path) -> Path:
    return new_project


def test_help_names_the_commands(root: Path) -> None:
    done = presel(root, "--help")
    assert done.code == 0
    for name in ("run", "plan", "compare", "explain", "report", "export", "hold-out", "ui"):
        assert f" {name} " in done.stdout


def test_outside_a_project_it_says_so(root: Path, tmp_path: Path) -> None:
    done = presel(tmp_path, "plan")
    assert done.code == 2
    assert "not inside a presel project" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_bad_parameters_are_reported_together(root: Path) -> None:
    done = presel(root, "plan", "--set", "select.neighbours=0", "--set", "tuning.lora_rnak=3")
    assert done.code == 2
    assert "select.neighbours" in done.stderr
    assert "tuning.lora_rnak" in done.stderr
    assert "Traceback" not in done.stderr


def test_plan_says_what_a_run_would_buy(root: Path) -> None:
    done = presel(root, "plan")
    assert done.code == 0, done.stderr
    assert "36 of 120 images may carry an instruction" in done.stdout
    assert "color" in done.stdout
    assert "$2.40" in done.stdout, "annotating everything"
    assert not (root / "data/manifest").exists(), "a plan writes no artifact"
    assert not (root / "dvc.lock").exists()


def test_explain_and_export_ask_for_a_run_first(root: Path) -> None:
    for arguments in (["explain", "color-1"], ["export", "out"]):
        done = presel(root, *arguments)
        assert done.code == 2
        assert "run `presel run` first" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["lineage", ""],
        ["verify", ""],
        ["promote", ""],
        ["reproduce", ""],
        ["run", "--name", ""],
        ["report", "--name", ""],
    ],
)
def test_a_variable_that_is_not_set_names_nothing(root: Path, command: list[str]) -> None:
    done = presel(root, *command)
    assert (done.code, "it is empty; name one" in done.stderr) == (2, True), done.output


def test_an_unknown_run_is_an_error(root: Path) -> None:
    done = presel(root, "explain", "color-1", "--name", "nowhere")
    assert done.code == 2
    assert "no run named 'nowhere'" in done.stderr


def test_a_broken_source_ends_with_one_clear_message(project: Path) -> None:
    pool = project / "pool/pool.json"
    whole = pool.read_text(encoding="utf-8")
    pool.write_text(whole[:20], encoding="utf-8")
    done = presel(project, "run")
    assert done.code == 1
    assert "pool/pool.json" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategies", "presel,tvie"], "strategies presel, tvie, full: name each once, of presel, tive,"),
        (["--strategies", "presel,presel"], "name each once"),
        (["--budget", "900%"], "more than the whole pool"),
        (["--strategies", "tive", "--set", "tive.projection=0"], "tive.projection"),
    ],
)
def test_an_impossible_comparison_is_refused_before_it_starts(root: Path, arguments: list[str], message: str) -> None:
    done = presel(root, "compare", *arguments)
    assert done.code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / "runs").exists()


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("tive", "needs the instruction of every sample: 120 of 120"),
        ("coincide", "needs the instruction of every sample: 120 of 120"),
        ("uniform_task", "36 images would be tuned on"),
    ],
)
def test_plan_of_another_strategy(root: Path, strategy: str, message: str) -> None:
    done = presel(root, "plan", "--strategy", strategy)
    assert done.code == 0, done.stderr
    assert message in done.stdout
    assert not (root / "runs").exists(), "a plan leaves no workspace behind"


def test_an_unknown_strategy_is_named_with_those_there_are(root: Path) -> None:
    done = presel(root, "run", "--strategy", "tvie")
    assert done.code == 2
    assert "coincide" in done.stderr


@pytest.fixture(scope="module")
def wants_a_login() -> Iterator[str]:
    """A server that lets nobody in."""

    class Refusing(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b'{"error_code": "UNAUTHENTICATED", "message": "who are you?"}'
            self.send_response(401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = refuse  # noqa: N815 -- names that the library calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def nobody() -> str:
    """An address where nothing answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("command", [["lineage", "1"], ["verify"]])
def test_mlflow_that_does_not_answer_the_command_is_said_in_words(
    root: Path, wants_a_login: str, nobody: str, command: list[str]
) -> None:
    refused = presel(root, *command, MLFLOW_TRACKING_URI=wants_a_login)
    away = presel(root, *command, MLFLOW_TRACKING_URI=nobody)
    assert (refused.code, away.code) == (2, 2)
    assert "MLFLOW_TRACKING_USERNAME" in refused.stderr
    assert f"MLflow at {nobody} (MLFLOW_TRACKING_URI) does not answer" in away.stderr
    assert "Traceback" not in refused.stderr + away.stderr


@pytest.mark.parametrize("command", [["run"], ["deploy"]])
def test_a_prefect_server_that_does_not_take_the_run_is_said_in_words(
    root: Path, wants_a_login: str, nobody: str, command: list[str]
) -> None:
    refused = presel(root, *command, PREFECT_API_URL=f"{wants_a_login}/api")
    away = presel(root, *command, PREFECT_API_URL=f"{nobody}/api")
    assert (refused.code, away.code) == (2, 2)
    assert "PREFECT_API_AUTH_STRING" in refused.stderr
    assert "does not answer" in away.stderr
    assert "Traceback" not in refused.stderr + away.stderr
