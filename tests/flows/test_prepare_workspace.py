"""Overlays get a workspace of their own, whose pipeline points at the same code."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.parameters.parameters import ParameterError
from flows.prepare_workspace import find_workspace, prepare_workspace
from tests.flows.small_project import make_project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("workspaces"))


@pytest.fixture
def root(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project without workspaces of its own, which is the working directory."""
    monkeypatch.chdir(made)
    yield made
    shutil.rmtree(made / "runs", ignore_errors=True)


def test_unchanged_parameters_use_the_project_itself(root: Path) -> None:
    assert prepare_workspace().root == "."


def test_an_overlay_gets_a_folder_with_resolved_parameters(root: Path) -> None:
    overlay = root / "mine.yaml"
    overlay.write_text("budget: 20%\nselect: {neighbours: 3}\n", encoding="utf-8")
    workspace = prepare_workspace(overlays=[overlay], settings=["seed=5"], name="mine")
    parameters = workspace.parameters()
    assert workspace.root == "runs/mine"
    assert (parameters.budget, parameters.select.neighbours, parameters.seed) == ("20%", 3, 5)
    assert find_workspace("mine") == workspace


def test_its_pipeline_reads_its_own_data_and_the_projects_code(root: Path) -> None:
    workspace = prepare_workspace(name="mine")
    stages = yaml.safe_load(workspace.pipeline_file.read_text(encoding="utf-8"))["stages"]
    original = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert stages.keys() == original.keys()
    for stage in stages.values():
        for path in stage.get("do", stage)["deps"]:
            if path.startswith("data/"):
                continue
            assert (root / workspace.root / path).exists()


def test_equal_settings_get_the_same_folder(root: Path) -> None:
    assert prepare_workspace(settings=["seed=5"]) == prepare_workspace(settings=["seed=5"])
    assert prepare_workspace(settings=["seed=5"]) != prepare_workspace(settings=["seed=6"])


def test_overlays_of_one_name_in_different_folders_have_folders_of_their_own(root: Path) -> None:
    for number, folder in enumerate((".", "conf", "a", "a/b")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "x.yaml").write_text(f"seed: {number}\n", encoding="utf-8")
    laid_out = [prepare_workspace(overlays=[Path(folder) / "x.yaml"]) for folder in (".", "conf", "a", "a/b")]
    assert [place.parameters().seed for place in laid_out] == [0, 1, 2, 3]
    assert laid_out[0].root == "runs/x", "the first has the plain name, and keeps it"
    assert prepare_workspace(overlays=[Path("x.yaml")], settings=["strategy=presel"]) == laid_out[0]
    assert prepare_workspace(overlays=[(root / "a/x.yaml").resolve()]) == laid_out[2]


def test_a_name_may_not_leave_the_folder(root: Path) -> None:
    with pytest.raises(ParameterError, match="letters"):
        prepare_workspace(name="../elsewhere")


def test_bad_parameters_write_nothing(root: Path) -> None:
    with pytest.raises(ParameterError, match=r"select\.neighbours"):
        prepare_workspace(settings=["select.neighbours=0"], name="mine")
    assert not (root / "runs").exists()


def test_an_unknown_run_is_named_with_those_there_are(root: Path) -> None:
    prepare_workspace(name="mine")
    with pytest.raises(ParameterError, match="mine"):
        find_workspace("other")
    with pytest.raises(ParameterError, match=r"no run named '\.\.'"):
        find_workspace("..")  # the project itself, with another lock


def test_a_stage_that_dvc_runs_by_a_pipeline_of_before_says_so(root: Path) -> None:
    """DVC does not compare a module that is not in dvc.yaml, so that a later change of it would be missed."""
    workspace = prepare_workspace(name="mine")
    module = root / "components/pool/manifest.py"
    before = module.read_text(encoding="utf-8")
    module.write_text(f"{before}\nimport components.training_set.export  # noqa\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "flows.stage", "ingest"],
        cwd=workspace.root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    module.write_text(before, encoding="utf-8")
    assert done.returncode == 2
    assert "runs/mine/dvc.yaml is not what the stages of strategy presel declare now: run `presel run`" in done.stderr
