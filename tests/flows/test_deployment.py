"""What a deployment promises: forms that accept what the project accepts, templates that a server takes."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from prefect.client.orchestration import get_client
from prefect.utilities.callables import parameter_schema
from prefect.utilities.importtools import import_object

from components.parameters.parameters import ParameterError
from components.selection.budget import parse_budget
from flows.curate import curate
from flows.deploy import POOL, create_pool, set_limit
from flows.environment import enter_project
from flows.form import BUDGET_PATTERN, asked_workspace, form_settings

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
TEMPLATES = sorted((ROOT / "infra/work_pools").glob("*.json"))
NAMES = [deployment["name"] for deployment in DEPLOYMENTS]


def is_budget(text: str) -> bool:
    try:
        parse_budget(text)
    except ValueError:
        return False
    return True


@given(st.from_regex(r"\A ?[$0-9,_.%a]{0,9} ?\Z"))
@example("15%")
@example("100%")
@example("100.5%")
@example("101%")
@example("001%")
@example("0100%")
@example("0%")
@example("0.00%")
@example("$1,250.50")
@example("$0")
@example("4,500")
@example("0")
@example(".5")
@example("0.15")
@example("1.5")
@example("abc%")
def test_the_form_accepts_the_budgets_that_the_project_accepts(text: str) -> None:
    assert bool(re.search(BUDGET_PATTERN, text)) is (is_budget(text) or not text.strip())


def test_the_deployments_are_those_that_are_promised() -> None:
    assert NAMES == ["recurate", "curate", "compare", "benchmark"]
    recurate = DEPLOYMENTS[0]
    assert recurate["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert [schedule["cron"] for schedule in recurate["schedules"]] == ["0 3 * * 1"]
    assert {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS} == {POOL}
    assert all(deployment["enforce_parameter_schema"] for deployment in DEPLOYMENTS)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_every_field_of_every_form_says_what_it_means(deployment: dict[str, Any]) -> None:
    flow = import_object(str(ROOT / deployment["entrypoint"]))
    fields = parameter_schema(flow).properties
    assert fields.keys() == inspect.signature(flow.fn).parameters.keys()
    for name, field in fields.items():
        assert field.get("description"), f"{deployment['name']}: {name} has no help text"
        assert "default" in field, f"{deployment['name']}: {name} has no default"
        assert "anyOf" not in field, f"{deployment['name']}: {name} would be drawn as a choice between types"


def test_choices_are_drop_downs() -> None:
    fields = parameter_schema(curate).properties
    assert fields["strategy"]["enum"][:2] == ["as configured", "presel"]
    assert "openai" in fields["provider"]["enum"]


def test_the_fields_of_the_form_become_settings() -> None:
    assert form_settings() == []
    assert form_settings(("seed=1",), strategy="random", budget=" 10% ", provider="people") == [
        'strategy="random"',
        'budget="10%"',
        'instructions.provider="people"',
        "seed=1",
    ]


def test_a_workspace_of_its_own_and_changed_parameters_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ParameterError, match="has parameters of its own"):
        asked_workspace(".", overlays=(), settings=("seed=1",), name="")
    with pytest.raises(ParameterError, match="no run named 'never'"):
        asked_workspace("never", overlays=(), settings=(), name="")
    assert asked_workspace(".", overlays=(), settings=(), name="").root == "."


def test_a_workspace_is_kept_relative_to_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = tmp_path / "project", tmp_path / "other"
    for folder in (root, root / "runs/mine", other):
        folder.mkdir(parents=True)
        (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    monkeypatch.chdir(root)
    monkeypatch.setattr("flows.form.update_pipeline", lambda _: None)  # there is no code here to make it of

    def asked(workspace: str) -> str:
        return asked_workspace(workspace, overlays=(), settings=(), name="").root

    assert [asked(str(root)), asked(str(root / "runs/mine")), asked("mine")] == [".", "runs/mine", "runs/mine"]
    for outside in (str(other), "../other"):
        with pytest.raises(ParameterError, match="outside the project"):
            asked(outside)


def test_a_worker_finds_the_project_from_anywhere(new_project: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRESEL_PROJECT", str(new_project))
    monkeypatch.setattr("flows.environment.CODE_FOLDER", new_project.resolve())
    assert enter_project() == {"directory": str(new_project)}
    assert Path.cwd() == new_project


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_every_placeholder_of_a_template_is_explained(file: Path) -> None:
    template = json.loads(file.read_text(encoding="utf-8"))
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used == template["variables"]["properties"].keys()
    assert all(variable.get("title") for variable in template["variables"]["properties"].values())


def test_a_server_takes_the_templates_and_doing_it_again_changes_nothing(new_project: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(new_project)
    with get_client(sync_client=True) as client:
        for kind in ("process", "docker", "kubernetes"):
            create_pool(kind)
            create_pool(kind)
            assert client.read_work_pool(POOL).type == kind
            with pytest.raises(ParameterError, match=f"is of type {kind}"):
                create_pool("docker" if kind == "process" else "process")
            client.delete_work_pool(POOL)
        for slots in (1, 1, 3):
            set_limit("gpu", slots)
            assert client.read_global_concurrency_limit_by_name("tag:gpu").limit == slots
        set_limit("gpu", None)
        set_limit("gpu", None)
        assert [limit.name for limit in client.read_global_concurrency_limits(limit=10, offset=0)] == []
