"""Imports go one way, and dvc.yaml names all the code that decides a stage's output."""

from pathlib import Path

import pytest
import yaml

from tests.imports_of import ROOT, import_closure, imported_names, python_files

FORBIDDEN = {
    "components": {"prefect", "dvc", "mlflow", "tasks", "flows", "bench", "demo"},
    "components/selection": {"torch", "transformers"},
    "tasks": {"flows", "bench", "demo"},
    "flows": {"bench"},
}
# Declarations and plumbing: they say how values travel, not which values come out.
NOT_DECIDING = {
    "tasks/platform/failure_advice.py",
    "components/parameters/instructions.py",
    "components/lineage/lock_file.py",
    "components/money.py",
    "components/parameters/section.py",
    "components/parameters/parameters.py",
    "components/compute/progress.py",
    "components/parameters/promotion.py",
    "components/pool/samples.py",
    "components/parameters/recuration.py",
    "components/parameters/retention.py",
    "tasks/platform/stage_tables.py",
    "components/storage.py",
    "components/strategies/coincide/parameters.py",
    "components/strategies/tive/parameters.py",
    "components/text_table.py",
}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str) -> None:
    files = python_files(package)
    assert files
    wrong = {
        f"{path} imports {name}"
        for path in files
        for name in imported_names(path)
        if name.split(".")[0] in FORBIDDEN[package]
    }
    assert wrong == set()


PIPELINES = [ROOT / "dvc.yaml", *sorted((ROOT / "conf" / "strategies").glob("*.yaml"))]


def stage_bodies() -> list[tuple[str, Path, list[str]]]:
    found = []
    stages = [item for file in PIPELINES for item in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"].items()]
    for name, stage in stages:
        deps = stage.get("do", stage)["deps"]
        task_files = [Path(dep) for dep in deps if dep.startswith("tasks/") and dep != "tasks/report_inputs.py"]
        assert task_files, f"stage {name} must name its task file"
        found.append((name, task_files[0], deps))
    return found


@pytest.mark.parametrize(("name", "task_file", "deps"), stage_bodies(), ids=[name for name, _, _ in stage_bodies()])
def test_stage_declares_the_code_it_runs(name: str, task_file: Path, deps: list[str]) -> None:
    closure = import_closure(task_file, without=NOT_DECIDING)
    used = {str(path) for path in closure if path.parts[0] == "components" and path.name != "__init__.py"}
    undeclared = {path for path in used if not any(path == dep or path.startswith(f"{dep}/") for dep in deps)}
    assert undeclared == set(), f"{name} runs code that dvc.yaml does not name: a change of it would go unnoticed"
    for dep in deps:
        if not dep.startswith("data/"):
            assert (ROOT / dep).exists(), f"{name} names {dep}, which is not there"


def test_selection_and_cached_runs_do_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, flows.curate; print(*(name in sys.modules for name in ('torch', 'transformers', 'mlflow')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
