"""What the rest of the project asks of every strategy."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from components.explain.explanation import explain_sample
from components.plan.choice_plan import ChoicePlan
from components.plan.request import plan_run
from components.strategies.load import load_sections, load_strategy, strategies_that
from components.strategies.names import STRATEGY_NAMES
from components.strategies.strategy import Strategy
from tasks.platform.import_closure import code_of
from tests.components.strategies.made_runs import make_request, pool, run_files, selected_tables, selection_row
from tests.imports_of import ROOT, imported_names, python_files

PACKAGES = ROOT / "components" / "strategies"
SIZES = {"a": 50, "b": 30, "c": 20}
every_strategy = pytest.mark.parametrize("name", STRATEGY_NAMES)


def test_the_list_and_the_packages_are_the_same():
    assert {path.parent.name for path in PACKAGES.glob("*/strategy.py")} == set(STRATEGY_NAMES)


@every_strategy
def test_it_says_of_itself_what_the_list_says(name):
    strategy = load_strategy(name)
    assert isinstance(strategy, Strategy)
    assert strategy.name == name
    # Whose instructions are needed decides what is bought: none twice, those of the training set always.
    assert len(set(strategy.needed_origins)) == len(strategy.needed_origins)
    assert strategy.reads_pool_instructions or set(strategy.instruction_origins) == set(strategy.needed_origins)
    if strategy.can_recurate:
        assert strategy.has_reference_set, "what a recuration keeps is a reference set and a selection"


def test_there_is_one_yardstick():
    assert len(strategies_that("takes_whole_pool")) == 1


@every_strategy
def test_its_models_have_snapshots_of_their_own(tmp_path, name):
    models = load_strategy(name).models(run_files(tmp_path, f"strategy={name}").parameters)
    assert not models.keys() & {"sources", "encoder", "vlm", "instructions", "benchmark"}
    assert all(model.model for model in models.values())


@every_strategy
def test_it_plans_a_pool_that_nobody_has_looked_at(tmp_path, name):
    run = run_files(tmp_path, f"strategy={name}", "budget=24%", "baselines=[]")
    samples = pool(SIZES)
    missing = samples["sample_id"].to_pylist()[:7]
    lines = plan_run(make_request(run, samples, price=0.5, missing=missing)).text().splitlines()
    for task, size in SIZES.items():
        assert any(line.split()[:2] == [task, str(size)] for line in lines), f"no line of task {task}"
    images = 100 if load_strategy(name).takes_whole_pool else 24
    assert any(f"{images} " in line for line in lines[len(SIZES) + 1 :])
    stops = any("presel run would stop" in line for line in lines)
    assert stops == load_strategy(name).reads_pool_instructions


@every_strategy
def test_it_never_plans_to_pick_more_than_the_budget(tmp_path, name):
    plan = plan_run(make_request(run_files(tmp_path, f"strategy={name}", "budget=24%"), pool(SIZES)))
    if isinstance(plan, ChoicePlan):
        picked = [task.selected for task in plan.tasks]
        assert None in picked or sum(count for count in picked if count) == plan.budget


@every_strategy
def test_it_explains_what_never_came_to_its_selection(tmp_path, name):
    run = run_files(tmp_path, f"strategy={name}", tables=selected_tables(selection_row("a"), dropped_by="elsewhere"))
    assert explain_sample("bad", run).status == "quarantined"


def test_a_parameter_section_is_named_as_its_strategy():
    assert set(load_sections()) <= set(STRATEGY_NAMES)
    for name, section in load_sections().items():
        assert section.__module__ == f"components.strategies.{name}.parameters"


@every_strategy
def test_it_knows_no_other_strategy_but_one_that_it_is_a_variant_of(name):
    files = [path for path in python_files("components") if path.parts[:3] == ("components", "strategies", name)]
    others = {other for other in STRATEGY_NAMES if other != name}
    known = {
        module.split(".")[2]
        for path in files
        for module in imported_names(path)
        if module.startswith("components.strategies.") and module.split(".")[2] in others
    }
    assert len(known) <= 1


def test_its_facts_need_no_formula():
    """Stages ask for facts; a change of a plan or an explanation must leave what they cached alone."""
    for name in STRATEGY_NAMES:
        closure = code_of(f"components.strategies.{name}.strategy", name, root=ROOT)
        assert {Path(path).name for path in closure}.isdisjoint({"plan.py", "explain.py", "select.py"})


def test_what_is_said_of_strategies_loads_no_torch():
    modules = [
        f"components.strategies.{name}.{part}" for name in STRATEGY_NAMES for part in ("plan", "explain", "report")
    ]
    code = f"import sys, {', '.join(modules)}; print(*(name in sys.modules for name in ('torch', 'transformers')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


OWN = ("components/strategies/", "tasks/strategies/", "flows/strategies/")
# The names of an exported data set and of the benchmarked models, among them the controls of a run.
OTHER_NAMES = ("components/training_set/export.py", "components/report/report.py")


def compared_constants(path: Path) -> Iterator[ast.Constant]:
    """Texts that a file tells cases apart by: `== "a"`, `in ("a", "b")`, `{"a": ...}`, `case "a"`."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        parts: Sequence[ast.AST | None] = ()
        if isinstance(node, ast.Compare):
            parts = (node.left, *node.comparators)
        elif isinstance(node, ast.Dict):
            parts = node.keys
        elif isinstance(node, ast.MatchValue):
            parts = (node.value,)
        for part in parts:
            if part is not None:
                yield from (one for one in ast.walk(part) if isinstance(one, ast.Constant))


def test_nothing_outside_asks_for_a_strategy_by_its_name():
    files = [path for package in ("components", "tasks", "flows") for path in python_files(package)]
    shared = [path for path in files if not str(path).startswith((*OWN, *OTHER_NAMES))]
    asked = [(path, one.lineno, one.value) for path in shared for one in compared_constants(path)]
    assert [where for where in asked if where[-1] in STRATEGY_NAMES] == []
