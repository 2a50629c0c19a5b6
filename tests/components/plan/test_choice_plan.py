import pyarrow as pa
import pytest

from components.parameters.parameters import ParameterError
from components.plan.request import plan_run
from components.schemas import DIFFICULTY
from components.strategies.load import load_strategy
from components.strategies.names import STRATEGY_NAMES
from tests.components.strategies.made_runs import make_request, pool, run_files

SIZES = {"a": 50, "b": 30, "c": 20}
OTHERS = [name for name in STRATEGY_NAMES if not load_strategy(name).has_reference_set]


@pytest.fixture
def plan(tmp_path):
    def plan(strategy, *, budget="24%", missing=(), tables=None):
        settings = [f"strategy={strategy}", f"budget={budget}", "seed=3"]
        run = run_files(tmp_path, *settings, tables=tables)
        return plan_run(make_request(run, pool(SIZES), price=0.5, missing=missing))

    return plan


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("uniform_task", [8, 8, 8]),
        ("size_balanced", [12, 7, 5]),
        ("full", [50, 30, 20]),
        ("tive", [None] * 3),
        ("coincide", [None] * 3),
    ],
)
def test_the_split_over_the_tasks(plan, strategy, expected):
    assert [task.selected for task in plan(strategy).tasks] == expected


def test_random_is_planned_as_it_is_drawn(plan):
    found = plan("random")
    assert sum(task.selected for task in found.tasks if task.selected) == found.budget == 24


def test_tive_follows_an_earlier_difficulty_of_the_same_tasks(plan):
    rows = [
        {"task": task, "samples": 1, "difficulty": 1.0, "share": share, "quota": 0, "uniform_distance": 0.0}
        for task, share in (("a", 0.5), ("b", 0.25), ("c", 0.25))
    ]
    table = pa.Table.from_pylist(rows, schema=DIFFICULTY)
    found = plan("tive", tables={"influence/difficulty.parquet": table})
    assert [task.selected for task in found.tasks] == [12, 6, 6]
    assert "an earlier run" in found.text()
    assert plan("tive", tables={"influence/difficulty.parquet": table.slice(1)}).tasks[0].selected is None


@pytest.mark.parametrize("strategy", OTHERS)
def test_instructions_and_their_price(plan, strategy):
    found = plan(strategy)
    needed = 100 if load_strategy(strategy).reads_pool_instructions else 24
    assert found.instructions == needed
    text = found.text()
    assert f"{needed} of 100, booked at ${needed / 2:,.2f}" in text
    assert "would stop" not in text
    for task, size in SIZES.items():
        assert any(line.split()[:2] == [task, str(size)] for line in text.splitlines())


def test_what_is_missing_is_counted_per_task_and_the_refusal_told(plan):
    found = plan("coincide", missing=["a/0000", "a/0001", "c/0005"])
    assert [task.without_instruction for task in found.tasks] == [2, 0, 1]
    assert found.without_instruction == 3
    assert (
        "presel run would stop: strategy coincide needs the instruction of every sample, and 3 of 100" in found.text()
    )
    assert "At $0.5 each they would cost $1.50" in found.text()
    assert "have to be bought" in plan("random", missing=["a/0000"]).text()


def test_a_budget_that_is_none_is_named(plan):
    with pytest.raises(ParameterError, match="seven"):
        plan("random", budget="seven")
