"""Nothing outside a strategy asks for it by its name, and nothing asks for a stage by its name: they are asked."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.strategies.names import STRATEGY_NAMES
from tasks.stages import declarations_of
from tests.imports_of import ROOT, python_files

OWN = ("components/strategies/", "tasks/strategies/", "flows/strategies/")
# Words that name something else too: a control that a run is measured beside.
AMBIGUOUS = {"random", "full"}
DECLARED = [stage for name in STRATEGY_NAMES for stage in declarations_of(name)]
# An artifact may be asked for by its name, so only names that no artifact has are looked for; a word is a column too.
ARTIFACTS = {part for stage in DECLARED for part in stage.writes.split("/")}
STAGES = {stage.name for stage in DECLARED if "_" in stage.name} - ARTIFACTS
NAMES = (STAGES | set(STRATEGY_NAMES)) - AMBIGUOUS
# What these say about each strategy is to be asked of the strategy.
TO_BE_ASKED = {
    "components/report/method_text.py",
    "components/report/report.py",
    "flows/explain.py",
    "flows/plan.py",
}


def asked_for(path: Path) -> Iterator[str]:
    """Names that a file compares something with or matches, and those of a table that holds several of them."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        match node:
            case ast.Compare():
                yield from names_in([node.left, *node.comparators])
            case ast.MatchValue():
                yield from names_in([node.value])
            case ast.Dict():
                keys = names_in([key for key in node.keys if key is not None])
                yield from keys if len(keys) > 1 else ()
            case ast.Set() | ast.Tuple() | ast.List():
                members = names_in(node.elts)
                yield from members if len(members) > 1 else ()


def names_in(nodes: list[ast.expr]) -> list[str]:
    constants = [inner.value for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Constant)]
    return [value for value in constants if isinstance(value, str) and value in NAMES]


@pytest.mark.parametrize("package", ["components", "tasks", "flows"])
def test_no_strategy_and_no_stage_is_asked_for_by_its_name(package: str) -> None:
    found = {
        (str(path), text)
        for path in python_files(package)
        if not str(path).startswith(OWN) and str(path) not in TO_BE_ASKED
        for text in asked_for(path)
    }
    assert found == set()
