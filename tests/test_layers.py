"""Imports go one way."""

import ast
from pathlib import Path

import pytest

from tests.imports_of import ROOT, imported_names, python_files

FORBIDDEN = {
    "components": {"prefect", "dvc", "mlflow", "tasks", "flows", "bench", "demo"},
    "components/selection": {"torch", "transformers"},
    "components/strategies": {"torch", "transformers"},
    "tasks": {"flows", "bench", "demo"},
    "flows": {"bench"},
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


@pytest.mark.parametrize("path", [path for path in python_files("components") if path.name == "__init__.py"], ids=str)
def test_a_package_of_components_only_says_what_it_holds(path: Path) -> None:
    """What stages depend on leaves these files out."""
    (docstring,) = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)


def test_selection_and_cached_runs_do_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, flows.curate; print(*(name in sys.modules for name in ('torch', 'transformers', 'mlflow')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
