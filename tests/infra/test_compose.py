"""The compose file and the image, as far as they can be checked without a container engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports_of import ROOT

INFRA = ROOT / "infra"
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (INFRA / "stack.env.example").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)
SECRET = re.compile(r"PASSWORD|SECRET|AUTH_STRING|AUTH_KEY|API_KEY")
# Names of what is secret, not secrets: the access key is a user's name.
PUBLIC = {"AWS_ACCESS_KEY_ID", "MLFLOW_AUTH_CONFIG_PATH"}
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def test_the_stack_is_complete() -> None:
    assert set(SERVICES) == {"postgresql", "objects", "prefect", "mlflow", "worker"}


@each_service
def test_every_service_says_when_it_is_healthy(service: dict[str, Any]) -> None:
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)


@each_service
def test_a_service_waits_until_what_it_needs_is_healthy(service: dict[str, Any]) -> None:
    for name, condition in service.get("depends_on", {}).items():
        assert name in SERVICES
        assert condition == {"condition": "service_healthy"}


@each_service
def test_ports_are_on_the_loopback_address(service: dict[str, Any]) -> None:
    assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []
    assert "network_mode" not in service


@each_service
def test_images_have_a_version(service: dict[str, Any]) -> None:
    name, colon, tag = service["image"].partition(":")
    assert colon
    assert tag not in {"", "latest"}
    assert name == "presel" or re.fullmatch(r"\d+\.\d+[\w.-]*", tag)


@each_service
def test_nobody_is_root(service: dict[str, Any]) -> None:
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert not service.get("privileged")


@each_service
def test_secrets_come_from_the_environment_file_and_are_required(service: dict[str, Any]) -> None:
    for name, value in service["environment"].items():
        if SECRET.search(name) and name not in PUBLIC:
            assert re.search(r"\$\{[A-Z_]+:(\?|-)\}", value), f"{name} is written into compose.yaml"
        for variable, must_be_set in re.findall(r"\$\{([A-Z_]+):(\?|-)\}", value):
            assert must_be_set == "?" or variable == "OPENAI_API_KEY"
    assert not re.search(r"PASSWORD|SECRET", str(service.get("command"))), "everyone may read a command line"


def test_every_variable_is_in_the_example_and_used() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (INFRA / "compose.yaml").read_text(encoding="utf-8")))
    assert used == set(EXAMPLE)


def test_the_example_holds_no_secret() -> None:
    assert {name: value for name, value in EXAMPLE.items() if re.search("PASSWORD|KEY", name) and value} == {}
    assert "/infra/stack.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "infra/stack.env" in (INFRA / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()


def test_volumes_are_declared_and_files_exist() -> None:
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert {name for name in mounted if not name.startswith(".")} == set(COMPOSE["volumes"])
    for path in (name for name in mounted if name.startswith(".")):
        assert (INFRA / path).is_file()
    for service in SERVICES.values():
        if "build" in service:
            assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def instructions() -> list[str]:
    text = re.sub(r"\\\n\s*", " ", (INFRA / "Dockerfile").read_text(encoding="utf-8"))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_both_variants_of_the_image_end_as_an_ordinary_user() -> None:
    stages: dict[str, list[str]] = {}
    for line in instructions():
        if line.startswith("FROM "):
            stages[line.split(" AS ")[1]] = []
        stages[list(stages)[-1]].append(line)
    assert {"cpu", "gpu"} <= set(stages)
    uid = SERVICES["worker"]["user"]
    for variant in ("cpu", "gpu"):
        assert [line for line in stages[variant] if line.startswith("USER ")] == [f"USER {uid}"]
        assert stages[variant][-1].startswith("CMD [")


def test_the_image_installs_pinned_versions_alone() -> None:
    base = next(line for line in instructions() if line.startswith("FROM "))
    assert re.match(r"FROM python:\d+\.\d+\.\d+-slim-\w+ AS", base)
    installs = [part for line in instructions() for part in line.split("&&") if "pip install" in part]
    assert len(installs) >= 4
    for part in installs:
        assert "--constraint constraints.txt" in part or "--no-deps" in part, part
    assert all(Path(ROOT / name).is_file() for name in ("constraints.txt", "pyproject.toml", "README.md"))
