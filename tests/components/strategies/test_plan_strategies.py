import pyarrow as pa
import pytest

from components.instructions.spending.estimate import UnitCost
from components.schemas import DIFFICULTY, SAMPLES
from components.strategies.load import load_strategy
from components.strategies.names import STRATEGY_NAMES
from components.strategies.plan_strategies import plan_strategy, strategy_plan_text

SIZES = {"a": 50, "b": 30, "c": 20}


def samples():
    rows = [
        {"sample_id": f"{task}/{number:03d}", "task": task, "image_sha": "", "uri": "", "source": "", "record_ids": []}
        for task, size in SIZES.items()
        for number in range(size)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def plan(strategy, *, budget="24%", missing=(), **more):
    return plan_strategy(
        samples(),
        strategy=strategy,
        budget=budget,
        seed=3,
        price_per_instruction_usd=0.5,
        unit_costs=dict.fromkeys(SIZES, UnitCost(0.0, 0.0, 0.5)),
        missing=frozenset(missing),
        **more,
    )


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
def test_the_split_over_the_tasks(strategy, expected):
    assert [task.selected for task in plan(strategy).tasks] == expected


def test_random_is_planned_as_it_is_drawn():
    found = plan("random")
    assert sum(task.selected for task in found.tasks if task.selected) == found.budget == 24


def test_tive_follows_an_earlier_difficulty_of_the_same_tasks():
    rows = [
        {"task": task, "samples": 1, "difficulty": 1.0, "share": share, "quota": 0, "uniform_distance": 0.0}
        for task, share in (("a", 0.5), ("b", 0.25), ("c", 0.25))
    ]
    table = pa.Table.from_pylist(rows, schema=DIFFICULTY)
    found = plan("tive", difficulty=table)
    assert [task.selected for task in found.tasks] == [12, 6, 6]
    assert "an earlier run" in strategy_plan_text(found)
    assert plan("tive", difficulty=table.slice(1)).tasks[0].selected is None


@pytest.mark.parametrize("strategy", [name for name in STRATEGY_NAMES if name != "presel"])
def test_instructions_and_their_price(strategy):
    found = plan(strategy)
    needed = 100 if strategy == "full" or load_strategy(strategy).reads_pool_instructions else 24
    assert found.instructions == needed
    text = strategy_plan_text(found)
    assert f"{needed} of 100, booked at ${needed / 2:,.2f}" in text
    assert "would stop" not in text
    for task, size in SIZES.items():
        assert any(line.split()[:2] == [task, str(size)] for line in text.splitlines())


def test_what_is_missing_is_counted_per_task_and_the_refusal_told():
    found = plan("coincide", missing=["a/000", "a/001", "c/005"], refusal="no instruction for 3 of 100")
    assert [task.without_instruction for task in found.tasks] == [2, 0, 1]
    assert found.without_instruction == 3
    assert "presel run would stop: no instruction for 3 of 100." in strategy_plan_text(found)
    assert "have to be bought" in strategy_plan_text(plan("random", missing=["a/000"]))


def test_a_budget_that_is_none_is_named():
    with pytest.raises(ValueError, match="seven"):
        plan("random", budget="seven")
