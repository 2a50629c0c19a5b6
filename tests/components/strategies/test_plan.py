import pyarrow as pa
import pytest

from components.instructions.spending.estimate import UnitCost
from components.schemas import CLUSTERS, IMPORTANCE, SAMPLES
from components.selection.reference_set import choose_reference_set
from components.strategies.plan import plan_run, plan_sentences, plan_text

SIZES = {"color": 200, "shape": 100, "text": 40}


def pool(sizes=SIZES) -> pa.Table:
    rows = [
        {
            "sample_id": f"{task}/{number:04}",
            "task": task,
            "image_sha": f"{task}{number}",
            "uri": "x.png",
            "source": "pool.json",
            "record_ids": [str(number)],
            "near_duplicate_of": "",
        }
        for task, size in sizes.items()
        for number in range(size)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def importance(**weights: float) -> pa.Table:
    rows = [{"task": task, "samples": 5, "score": 0.5, "weight": weight} for task, weight in weights.items()]
    return pa.Table.from_pylist(rows, schema=IMPORTANCE)


def plan(samples=None, **options):
    settings = {
        "budget": "15%",
        "reference_share": 0.05,
        "seed": 3,
        "rounding": "exact",
        "price_per_instruction_usd": 0.02,
        "unit_costs": dict.fromkeys(SIZES, UnitCost(0.0, 0.0, 0.02)),
    }
    return plan_run(pool() if samples is None else samples, **{**settings, **options})


def by_task(run_plan):
    return {task.task: task for task in run_plan.tasks}


def reference_ids(samples: pa.Table) -> list[str]:
    ids = samples["sample_id"].to_pylist()
    members = choose_reference_set(ids, samples["task"].to_pylist(), share=0.05, seed=3)
    return [sample_id for sample_id, member in zip(ids, members, strict=True) if member]


def test_a_first_run_knows_sizes_only_and_says_so():
    run_plan = plan()
    assert (run_plan.pool, run_plan.budget, run_plan.basis) == (340, 51, "size")
    tasks = by_task(run_plan)
    assert {task: one.reference for task, one in tasks.items()} == {"color": 10, "shape": 5, "text": 2}
    # 34 images by the sizes 190, 95, 38 outside the reference set.
    assert {task: one.selected for task, one in tasks.items()} == {"color": 20, "shape": 10, "text": 4}
    assert (tasks["text"].selected_at_least, tasks["text"].selected_at_most) == (0, 34)
    assert "only after the reference tune" in " ".join(plan_sentences(run_plan))


def test_bounds_of_a_task_that_cannot_be_avoided():
    tasks = by_task(plan(budget="90%"))
    # 306 - 17 to select; the others have 133 images, the task itself 190.
    assert (tasks["color"].selected_at_least, tasks["color"].selected_at_most) == (289 - 133, 190)
    assert tasks["text"].selected_at_most == 38


def test_costs():
    run_plan = plan()
    assert run_plan.cost_at_most_usd == pytest.approx(51 * 0.02)
    assert run_plan.cost_at_least_usd == pytest.approx(51 * 0.02)
    assert run_plan.full_cost_usd == pytest.approx(340 * 0.02)


def test_what_is_in_the_ledger_is_not_bought_again():
    samples = pool()
    reference = set(reference_ids(samples))
    color = [name for name in samples["sample_id"].to_pylist() if name.startswith("color/")]
    others = [name for name in color if name not in reference][:3]
    run_plan = plan(samples, bought=frozenset({*reference, *others}))
    task = by_task(run_plan)["color"]
    assert (task.reference_bought, task.others_bought) == (10, 3)
    assert (task.to_buy_at_least, task.to_buy_at_most) == (17, 20)
    assert run_plan.cost_at_most_usd == pytest.approx(34 * 0.02)
    assert run_plan.cost_at_least_usd == pytest.approx(31 * 0.02)
    assert "$0.62 to $0.68" in plan_text(run_plan)


def test_importance_of_an_earlier_run_is_used():
    run_plan = plan(importance=importance(color=0.2, shape=0.3, text=0.5))
    assert run_plan.basis == "importance"
    tasks = by_task(run_plan)
    assert [tasks[name].selected for name in ("color", "shape", "text")] == [7, 10, 17]
    assert tasks["text"].selected_at_least == tasks["text"].selected_at_most == 17


def test_importance_of_other_tasks_is_not():
    assert plan(importance=importance(color=0.5, shape=0.5)).basis == "size"


def test_clusters_make_the_split_exact():
    samples = pool()
    rows = [
        {**row, "cluster": number % 7, "distance": 0.0}
        for number, row in enumerate(samples.select(["sample_id", "task", "image_sha"]).to_pylist())
    ]
    clusters = pa.Table.from_pylist(rows[::-1], schema=CLUSTERS)
    weights = importance(color=0.2, shape=0.3, text=0.5)
    run_plan = plan(samples, importance=weights, clusters=clusters, rounding="paper")
    assert run_plan.basis == "allocation"
    # The floor of every cluster's share loses images that no task can know of without its clusters.
    assert sum(task.selected for task in run_plan.tasks) < 34
    assert plan(samples, importance=weights, clusters=clusters.slice(1)).basis == "importance"
    assert plan(samples, clusters=clusters).basis == "size"


def test_baselines():
    samples = pool()
    run_plan = plan(samples, baselines=("random", "full"))
    random, full = run_plan.baselines
    assert (random.name, random.images) == ("random", 51)
    assert 51 - 17 <= random.to_buy_at_most <= 51
    assert (full.images, full.to_buy_at_most) == (340, 340 - 17)
    everything = frozenset(samples["sample_id"].to_pylist())
    assert [one.to_buy_at_most for one in plan(samples, baselines=("random", "full"), bought=everything).baselines] == [
        0,
        0,
    ]
    assert "Baseline random: 51 images" in plan_text(run_plan)
    assert f"those of the controls up to ${run_plan.baselines_at_most_usd:.2f} more" in plan_text(run_plan)


def test_dollars_as_a_budget():
    assert plan(budget="$2").budget == 100


def test_a_budget_that_leaves_nothing_is_an_error():
    with pytest.raises(ValueError, match="leaves nothing to select"):
        plan(budget=17)


def test_the_text_has_a_line_per_task_with_aligned_columns():
    lines = plan_text(plan()).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["task", "color", "shape", "text"]
    assert len({len(line) for line in lines[:4]}) == 1
    assert "0 to 34" in lines[3]
    assert lines[1].split()[-1] == "0.60"
