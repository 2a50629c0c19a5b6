import pyarrow as pa
import pytest

from components.schemas import CLUSTERS, IMPORTANCE
from components.selection.reference_set import choose_reference_set
from components.strategies.presel.plan import plan as plan_presel
from tests.components.strategies.made_runs import make_request, pool, run_files

SIZES = {"color": 200, "shape": 100, "text": 40}
SCORES, CLUSTER_FILE = "scores/importance.parquet", "clusters/clusters.parquet"


def importance(**weights: float) -> pa.Table:
    rows = [{"task": task, "samples": 5, "score": 0.5, "weight": weight} for task, weight in weights.items()]
    return pa.Table.from_pylist(rows, schema=IMPORTANCE)


@pytest.fixture
def plan(tmp_path):
    def plan(samples=None, *, budget="15%", rounding="exact", baselines=(), tables=None, **more):
        settings = [
            "seed=3",
            f"budget={budget}",
            f"allocate.rounding={rounding}",
            f"baselines=[{', '.join(baselines)}]",
        ]
        run = run_files(tmp_path, *settings, tables=tables)
        return plan_presel(make_request(run, pool(SIZES) if samples is None else samples, **more))

    return plan


def by_task(run_plan):
    return {task.task: task for task in run_plan.tasks}


def reference_ids(samples: pa.Table) -> list[str]:
    ids = samples["sample_id"].to_pylist()
    members = choose_reference_set(ids, samples["task"].to_pylist(), share=0.05, seed=3)
    return [sample_id for sample_id, member in zip(ids, members, strict=True) if member]


def test_a_first_run_knows_sizes_only_and_says_so(plan):
    run_plan = plan()
    assert (run_plan.pool, run_plan.budget, run_plan.basis) == (340, 51, "size")
    tasks = by_task(run_plan)
    assert {task: one.reference for task, one in tasks.items()} == {"color": 10, "shape": 5, "text": 2}
    # 34 images by the sizes 190, 95, 38 outside the reference set.
    assert {task: one.selected for task, one in tasks.items()} == {"color": 20, "shape": 10, "text": 4}
    assert (tasks["text"].selected_at_least, tasks["text"].selected_at_most) == (0, 34)
    assert "only after the reference tune" in run_plan.text()


def test_bounds_of_a_task_that_cannot_be_avoided(plan):
    tasks = by_task(plan(budget="90%"))
    # 306 - 17 to select; the others have 133 images, the task itself 190.
    assert (tasks["color"].selected_at_least, tasks["color"].selected_at_most) == (289 - 133, 190)
    assert tasks["text"].selected_at_most == 38


def test_costs(plan):
    run_plan = plan()
    assert run_plan.cost_at_most_usd == pytest.approx(51 * 0.02)
    assert run_plan.cost_at_least_usd == pytest.approx(51 * 0.02)
    assert run_plan.full_cost_usd == pytest.approx(340 * 0.02)


def test_what_is_in_the_ledger_is_not_bought_again(plan):
    samples = pool(SIZES)
    reference = set(reference_ids(samples))
    color = [name for name in samples["sample_id"].to_pylist() if name.startswith("color/")]
    others = [name for name in color if name not in reference][:3]
    run_plan = plan(samples, bought=frozenset({*reference, *others}))
    task = by_task(run_plan)["color"]
    assert (task.reference_bought, task.others_bought) == (10, 3)
    assert (task.to_buy_at_least, task.to_buy_at_most) == (17, 20)
    assert run_plan.cost_at_most_usd == pytest.approx(34 * 0.02)
    assert run_plan.cost_at_least_usd == pytest.approx(31 * 0.02)
    assert "$0.62 to $0.68" in run_plan.text()


def test_importance_of_an_earlier_run_is_used(plan):
    run_plan = plan(tables={SCORES: importance(color=0.2, shape=0.3, text=0.5)})
    assert run_plan.basis == "importance"
    tasks = by_task(run_plan)
    assert [tasks[name].selected for name in ("color", "shape", "text")] == [7, 10, 17]
    assert tasks["text"].selected_at_least == tasks["text"].selected_at_most == 17


def test_importance_of_other_tasks_is_not(plan):
    assert plan(tables={SCORES: importance(color=0.5, shape=0.5)}).basis == "size"


def test_clusters_make_the_split_exact(plan):
    samples = pool(SIZES)
    rows = [
        {**row, "cluster": number % 7, "distance": 0.0}
        for number, row in enumerate(samples.select(["sample_id", "task", "image_sha"]).to_pylist())
    ]
    clusters = pa.Table.from_pylist(rows[::-1], schema=CLUSTERS)
    weights = importance(color=0.2, shape=0.3, text=0.5)
    assert plan(samples, tables={CLUSTER_FILE: clusters}).basis == "size"
    run_plan = plan(samples, tables={SCORES: weights}, rounding="paper")
    assert run_plan.basis == "allocation"
    # The floor of every cluster's share loses images that no task can know of without its clusters.
    assert sum(task.selected for task in run_plan.tasks) < 34
    assert plan(samples, tables={CLUSTER_FILE: clusters.slice(1)}).basis == "importance"


@pytest.mark.parametrize(("setting", "basis"), [("budget=20%", "importance"), ("vlm.context_length=64", "size")])
def test_the_projects_importance_is_used_where_this_run_will_score_alike(tmp_path, setting, basis):
    project = run_files(tmp_path / "project", tables={SCORES: importance(color=0.2, shape=0.3, text=0.5)})
    run = run_files(tmp_path / "run", setting)
    assert plan_presel(make_request(run, pool(SIZES), project=project)).basis == basis


def test_a_limit_that_can_be_reached_is_told(plan):
    assert "spend_at_most_usd ($1.00)" in plan(spend_at_most_usd=1.0).text()
    assert "spend_at_most_usd" not in plan(spend_at_most_usd=1.1).text()


def test_baselines(plan):
    samples = pool(SIZES)
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
    assert "Baseline random: 51 images" in run_plan.text()
    assert f"those of the controls up to ${run_plan.baselines_at_most_usd:.2f} more" in run_plan.text()


def test_dollars_as_a_budget(plan):
    assert plan(budget="$2").budget == 100


def test_a_budget_that_leaves_nothing_is_an_error(plan):
    with pytest.raises(ValueError, match="leaves nothing to select"):
        plan(budget=17)


def test_the_text_has_a_line_per_task_with_aligned_columns(plan):
    lines = plan().text().splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["task", "color", "shape", "text"]
    assert len({len(line) for line in lines[:4]}) == 1
    assert "0 to 34" in lines[3]
    assert lines[1].split()[-1] == "0.60"
