"""A strategy of one's own, as CONTRIBUTING says: three places of its own and one line, and every command knows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.schemas import COMPARISON, SELECTION
from components.storage import read_table
from tests.flows.small_project import make_project

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

NAME = "first_by_name"
FILES = {
    f"components/strategies/{NAME}/__init__.py": '"""The first samples by their id."""\n',
    f"components/strategies/{NAME}/parameters.py": '''
"""The section `first_by_name` of params.yaml."""

from components.parameters.section import Section


class FirstByNameParameters(Section):
    """Strategy `first_by_name`."""

    from_the_end: bool


SECTION = FirstByNameParameters
''',
    f"components/strategies/{NAME}/strategy.py": '''
"""What sets the strategy apart: nothing."""

from components.strategies.strategy import Strategy

STRATEGY = Strategy(name="first_by_name")
''',
    f"components/strategies/{NAME}/select.py": '''
"""The first samples by their id."""

import numpy as np
import pyarrow as pa

from components.selection.drawn_selection import drawn_selection


def select_first(samples: pa.Table, *, budget: int, from_the_end: bool) -> pa.Table:
    """Take the budget in the order of the ids; SELECTION."""
    ids = samples["sample_id"].to_pylist()
    count = min(budget, len(ids))
    taken = set(sorted(ids, reverse=from_the_end)[:count])
    picked = np.array([sample_id in taken for sample_id in ids])
    words = [f"{count:,} of {len(ids):,} samples by their names"] * len(ids)
    return drawn_selection(samples, picked, np.full(len(ids), count), words)
''',
    f"components/strategies/{NAME}/plan.py": '''
"""What a run would do and buy."""

from components.plan.choice_plan import ChoicePlan, images_to_tune_on, picked_by_task, plan_choice
from components.plan.request import PlanRequest
from components.strategies.first_by_name.parameters import FirstByNameParameters
from components.strategies.first_by_name.select import select_first
from components.strategies.first_by_name.strategy import STRATEGY


def plan(request: PlanRequest) -> ChoicePlan:
    """Picks as the run will."""
    budget = images_to_tune_on(request, STRATEGY)
    own = request.parameters.section(FirstByNameParameters)
    selection = select_first(request.samples, budget=budget, from_the_end=own.from_the_end)
    return plan_choice(request, STRATEGY, selected=picked_by_task(selection), basis="The alphabet decides.")
''',
    f"components/strategies/{NAME}/explain.py": '''
"""Why a sample was or was not picked."""

from components.explain.explanation import Explanation, Fact
from components.explain.find_sample import PoolSample
from components.explain.selected import explain_selected
from components.strategies.run_files import RunFiles


def explain(sample: PoolSample, run: RunFiles) -> Explanation:
    """By its name."""
    return explain_selected(sample, run, facts_of=lambda row: (Fact("first letter", row["sample_id"][0]),))
''',
    f"components/strategies/{NAME}/report.py": '''
"""The strategy on the report's page."""

from components.report.strategy_report import StrategyReport

REPORT = StrategyReport(title="the alphabet", chosen="by the alphabet alone")
''',
    f"tasks/strategies/{NAME}.py": '''
"""Stage first_by_name_select: the first samples by their id."""

from components.pool.manifest import read_samples
from components.strategies.first_by_name.parameters import FirstByNameParameters
from components.strategies.first_by_name.select import select_first
from tasks.bodies.budget import BUDGET_PARAMETERS, budget_of
from tasks.bodies.tables import save_selection
from tasks.platform.stage_context import (StageContext, StageSummary)
from tasks.platform.stage import stage
from tasks.platform.stage_tables import selection_tables


@stage(
    "the first samples by their id",
    reads=("manifest/samples.parquet",),
    parameters=(*BUDGET_PARAMETERS, "first_by_name"),
    writes="selection",
    tables=selection_tables,
)
def first_by_name_select(context: StageContext) -> StageSummary:
    """Take the budget in the order of the ids."""
    own = context.parameters.section(FirstByNameParameters)
    samples = read_samples(context.input("manifest"))
    return save_selection(context, select_first(samples, budget=budget_of(context), from_the_end=own.from_the_end))


STAGES = (first_by_name_select,)
''',
    f"flows/strategies/{NAME}.py": '''
"""The first samples by their id."""

from flows.strategies.chosen import Chosen
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.strategies.first_by_name import first_by_name_select


def choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """By the alphabet."""
    return Chosen(first_by_name_select(run, manifest), evidence=(), computed=())
''',
}
BUDGET = 36  # tests/flows/small_project.py: 30 % of two tasks of 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project with the strategy in it, after a run of it."""
    root = make_project(tmp_path_factory.mktemp("extending"))
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text.lstrip(), encoding="utf-8")
    names = root / "components/strategies/names.py"
    text = names.read_text(encoding="utf-8")
    assert '    "full",\n' in text
    names.write_text(text.replace('    "full",\n', f'    "full",\n    "{NAME}",\n'), encoding="utf-8")
    parameters = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    parameters[NAME] = {"from_the_end": False}
    (root / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
    presel(root, "run", "--strategy", NAME, "--name", "toy", "--set", "baselines=[]")
    return root


def started(root: Path, *command: str, cwd: Path | None = None) -> str:
    """What a command of the project prints; it must succeed."""
    foreign = ("PREFECT_", "MLFLOW_", "DVC_", "HF_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd or root,
        env={**environment, "PYTHONPATH": str(root), "COLUMNS": "160", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def presel(root: Path, *arguments: str) -> str:
    return started(root, "-m", "flows.command_line.main", *arguments)


def selection(root: Path) -> list[dict[str, object]]:
    table = read_table(root / "runs/toy/data/selection/selection.parquet", SELECTION)
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def test_it_picks(root: Path) -> None:
    picked = [row["sample_id"] for row in selection(root) if row["picked"]]
    assert picked == sorted(str(row["sample_id"]) for row in selection(root))[:BUDGET]


def test_the_plan_is_in_its_words_and_finds_nothing_left_to_do(root: Path) -> None:
    before = presel(root, "plan", "--strategy", NAME, "--name", "other", "--set", f"{NAME}.from_the_end=true")
    assert f"{BUDGET} images would be tuned on. The alphabet decides." in before
    assert "shape" in before
    assert f"{NAME}_select" in before, "its stage is among those that would run"
    after = presel(root, "plan", "--strategy", NAME, "--name", "toy", "--set", "baselines=[]")
    assert f"{NAME}_select" not in after


def test_a_sample_is_explained_in_its_words(root: Path) -> None:
    text = presel(root, "explain", str(selection(root)[0]["sample_id"]), "--name", "toy")
    assert text.startswith(f"It was drawn: {BUDGET} of 120 samples by their names are.")
    assert "\nfirst letter  c" in text


def test_the_report_is_in_its_words(root: Path) -> None:
    page = Path(presel(root, "report", "--name", "toy").strip())
    assert "by the alphabet alone" in page.read_text(encoding="utf-8")


def test_dvc_finds_it_up_to_date_and_runs_it_alone(root: Path) -> None:
    place = root / "runs" / "toy"
    assert "up to date" in started(root, "-m", "dvc", "repro", "dvc.yaml", cwd=place)
    file = place / "params.yaml"
    text = file.read_text(encoding="utf-8")
    assert "from_the_end: false" in text
    file.write_text(text.replace("from_the_end: false", "from_the_end: true"), encoding="utf-8")
    assert f"Running stage '{NAME}_select'" in started(root, "-m", "dvc", "repro", f"{NAME}_select", cwd=place)
    picked = [row["sample_id"] for row in selection(root) if row["picked"]]
    assert picked == sorted(str(row["sample_id"]) for row in selection(root))[-BUDGET:]


def test_it_is_compared_with_others(root: Path) -> None:
    said = presel(root, "compare", "--strategies", f"{NAME},random", "--no-full", "--name", "side")
    assert NAME in said
    rows = {row["strategy"]: row for row in read_table(root / "runs/side/comparison.parquet", COMPARISON).to_pylist()}
    assert rows.keys() == {NAME, "random"}
    assert rows[NAME]["images"] == BUDGET
    assert "the alphabet" in (root / "runs/side/comparison.html").read_text(encoding="utf-8")


def test_the_forms_of_a_deployment_offer_it(root: Path) -> None:
    code = (
        "import json; from prefect.utilities.callables import parameter_schema; from flows.curate import curate; "
        "print(json.dumps(parameter_schema(curate).properties['strategy']))"
    )
    assert f'"{NAME}"' in started(root, "-c", code)
