"""Where the stack lives, its ports, and what is said when they cannot be had."""

import socket
from pathlib import Path

import pytest

from infra.stack.settings import StackError, check_port, settings_from_environment


def test_defaults_and_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRESEL_STACK_FOLDER", raising=False)
    monkeypatch.setenv("PRESEL_STACK_MLFLOW_PORT", "5055")
    settings = settings_from_environment(Path("/srv/project"))
    assert settings.folder == Path("/srv/project/.presel/stack")
    assert settings.mlflow_url == "http://127.0.0.1:5055"
    assert settings.prefect_url == "http://127.0.0.1:4200"


@pytest.mark.parametrize("port", ["http", "80", "70000"])
def test_a_port_that_is_none(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESEL_STACK_OBJECTS_PORT", port)
    with pytest.raises(StackError, match=f"PRESEL_STACK_OBJECTS_PORT is '{port}'"):
        settings_from_environment(Path("/srv/project"))


def test_one_port_for_two_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESEL_STACK_OBJECTS_PORT", "5433")
    with pytest.raises(StackError, match="same port"):
        settings_from_environment(Path("/srv/project"))


def test_a_folder_whose_path_is_too_long_for_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESEL_STACK_FOLDER", "/" + "x" * 120)
    with pytest.raises(StackError, match="PRESEL_STACK_FOLDER"):
        settings_from_environment(Path("/srv/project"))


def test_a_port_that_somebody_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StackError, match="PRESEL_STACK_PREFECT_PORT"):
            check_port("prefect", port)
    check_port("prefect", port)
