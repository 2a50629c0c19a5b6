import re
from dataclasses import replace

import pyarrow as pa
import pytest

from components import schemas
from components.report.inputs import ReportInputs
from components.report.report import build_report
from components.report.task_rows import task_rows
from components.report.thumbnails import ImageLoader
from components.strategies.presel.report import PreselEvidence
from tests.components.report.html_page import Page
from tests.components.report.synthetic import empty_inputs, make_inputs
from tests.components.report.synthetic_pool import draw_image
from tests.components.report.synthetic_purchase import bought_by_token
from tests.components.report.synthetic_recuration import make_recurated_inputs

HOSTILE = """quote'"&<b>bold</b></script><script>alert(1)</script>"""


def build(
    inputs: ReportInputs,
    *,
    grid_clusters: int = 6,
    grid_images: int = 8,
    image_loader: ImageLoader = draw_image,
) -> str:
    return build_report(
        inputs,
        grid_clusters=grid_clusters,
        grid_images=grid_images,
        image_loader=image_loader,
    )


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return make_inputs()


@pytest.fixture(scope="module")
def html(inputs) -> str:
    return build(inputs)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_page_is_balanced_and_its_anchors_lead_somewhere(page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert targets <= set(ids)
    assert {"pool", "importance", "allocation", "map", "clusters", "training", "benchmark", "cost"} <= targets


def test_page_asks_for_nothing_outside_itself(page, html, inputs):
    allowed = {inputs.lineage.flow_run_url, inputs.lineage.mlflow_run_url}
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            assert value.startswith(("#", "data:image/")) or (tag == "a" and value in allowed), (tag, name, value)
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert "@import" not in html
    assert "url(" not in html


def test_content_security_policy_forbids_everything_but_inline_parts(page):
    policy = next(value for value in page.values("content") if "default-src" in value)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["script-src"] == "'unsafe-inline'"


def test_page_stays_small(html):
    assert len(html.encode()) < 1_000_000


def test_equal_inputs_give_equal_pages(inputs, html):
    assert build(inputs) == html


def test_head_says_the_numbers_of_the_inputs(page, inputs):
    words = page.words().replace("\u202f", " ")
    picked = inputs.reference.num_rows + sum(
        picked and not reference
        for picked, reference in zip(
            inputs.selection["picked"].to_pylist(), inputs.selection["is_reference"].to_pylist(), strict=True
        )
    )
    assert picked == round(0.15 * inputs.samples.num_rows)
    assert f"{picked:,} of {inputs.samples.num_rows:,} images deserve an instruction" in words
    assert f"{inputs.reference.num_rows} make up the reference set" in words
    assert f"Their instructions cost ${inputs.costs.spent_usd:.2f}" in words
    assert f"would have cost ${inputs.costs.all_usd:.2f}" in words
    assert f"Records quarantined {inputs.quarantine.num_rows} refused" in words
    means = {run.name: 100 * sum(run.metrics["score"].to_pylist()) / run.metrics.num_rows for run in inputs.benchmarks}
    assert f"scores {means['tuned']:.1f} of 100 on average over 6 benchmark sets" in words
    assert f"it scored {means['base']:.1f} before" in words
    assert f"That is {means['tuned'] - means['random']:.1f} points above a model tuned on as many" in words


def test_tables_say_the_numbers_of_the_inputs(page, inputs):
    words = page.words().replace("\u202f", " ")
    for row in task_rows(inputs):
        assert f"{100 * row.pool_share:.1f} % {row.samples} {100 * row.pick_share:.1f} % {row.picked} " in words
    for drop in inputs.drops:
        assert f"{drop.stage} {drop.reason} {drop.count}" in words
    assert "truncated image 9 images/bad-0.png: 3 of 9 kB" in words
    assert inputs.lineage.git_commit + " with uncommitted changes" in words
    assert "random control for comparison only" in words


def test_map_knows_every_sample_and_its_state(page, inputs):
    data = page.map_data()
    picked = set(inputs.selection.filter(inputs.selection["picked"])["sample_id"].to_pylist())
    reference = set(inputs.reference["sample_id"].to_pylist())
    assert len(data["ids"]) == len(data["x"]) == len(data["y"]) == inputs.samples.num_rows
    for sample_id, task, state in zip(data["ids"], data["tasks"], data["states"], strict=True):
        expected = 2 if sample_id in reference else 1 if sample_id in picked else 0
        assert state == expected
        assert sample_id.startswith(data["names"][task] + "/")


def test_points_are_drawn_without_script(page, inputs):
    paths = [value for tag, name, value in page.attributes if (tag, name) == ("path", "d")]
    assert max(path.count("h0") for path in paths) > 500
    assert sum(path.count("M") for path in paths if path.count("h0") > 1) >= 3000


def test_text_from_data_is_escaped():
    inputs = make_inputs({HOSTILE: (60, 0.4), "plain": (60, 0.6)}, sets=("color",))
    tuned = next(run for run in inputs.benchmarks if run.name == "tuned")
    poisoned = {
        name: pa.array([HOSTILE] * tuned.predictions.num_rows)
        if name in ("question", "prediction")
        else tuned.predictions[name]
        for name in schemas.PREDICTIONS.names
    }
    inputs = replace(
        inputs,
        benchmarks=(replace(tuned, predictions=pa.table(poisoned, schemas.PREDICTIONS)),),
        lineage=replace(
            inputs.lineage,
            flow_run_name=HOSTILE,
            flow_run_url="javascript:alert(1)",
            git_commit=HOSTILE,
            parameters=HOSTILE,
        ),
        quarantine=pa.table(
            {name: [HOSTILE] for name in schemas.QUARANTINE.names},
            schemas.QUARANTINE,
        ),
    )
    html = build(inputs)
    page = Page(html)
    assert "<b>bold" not in html
    assert len(page.scripts) == 2
    assert not any(script.strip() == "alert(1)" for script in page.scripts)
    assert page.text.count(HOSTILE) >= 8
    assert HOSTILE in page.map_data()["names"]
    assert HOSTILE in page.values("data-task")
    assert not any(value.startswith("javascript:") for value in page.values("href"))


def test_unreadable_pictures_leave_a_frame_with_the_reason(inputs):
    def refuse(uri, image_sha):
        raise ValueError(f"{uri} is <gone>")

    page = Page(build(inputs, image_loader=refuse))
    assert "img" not in page.tags
    assert page.text.count("no picture") > 50
    assert any(value.endswith("is <gone>") for value in page.values("title"))


def test_loader_errors_of_another_kind_are_not_hidden(inputs):
    def fail(uri, image_sha):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        build(inputs, image_loader=fail)


def test_empty_run_is_still_a_page():
    page = Page(build(empty_inputs()))
    words = page.words()
    assert "0 of 0 images deserve an instruction" in words
    assert "No model was measured on a benchmark in this run." in words
    assert "every record of the sources became part of a sample" in words
    assert {"importance", "map", "clusters", "training", "allocation", "quotas"}.isdisjoint(page.values("id"))


def test_one_task_without_baselines():
    words = Page(build(make_inputs({"only": (40, 0.5)}, baselines=(), sets=("only",)))).words()
    assert "6 of 40 images deserve an instruction" in words
    assert "in 1 task." in words
    assert "drawn at random" not in words
    assert "over random" not in words


def test_full_tune_brings_the_relative_score():
    inputs = make_inputs(baselines=("random", "full"))
    scores = {run.name: run.metrics["score"].to_pylist() for run in inputs.benchmarks}
    relative = sum(a / b for a, b in zip(scores["tuned"], scores["full"], strict=True)) / len(scores["full"])
    words = Page(build(inputs)).words().replace("\u202f", " ")
    assert f"It reaches {100 * relative:.1f} % of what tuning on the whole annotated pool gives (Rel.)." in words


def test_task_without_a_score_is_named(inputs):
    evidence = inputs.evidence
    kept = evidence.importance.filter(pa.compute.not_equal(evidence.importance["task"], "chart"))
    words = Page(build(replace(inputs, evidence=replace(evidence, importance=kept)))).words()
    assert "Without a score, and so without a weight: chart." in words


def test_sixty_tasks_and_a_thousand_clusters_fold_and_stay_small():
    tasks = {f"task-{i:02d}-{'long-name-' * (i % 3)}": (40 + 2 * i, 0.2 + 0.015 * i) for i in range(60)}
    inputs = make_inputs(tasks, images_per_cluster=5, sets=tuple(f"set-{i}" for i in range(12)))
    assert isinstance(inputs.evidence, PreselEvidence)
    assert inputs.evidence.allocation.num_rows > 1000
    html = build(inputs)
    page = Page(html)
    assert page.words().count("40 more tasks") == 3
    assert "(the 52 smallest tasks share a grey)" in page.words()
    assert len(html.encode()) < 2_000_000


def test_many_pictures_become_smaller(inputs):
    clusters = build(inputs, grid_clusters=60, grid_images=30)
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', clusters)
    assert len(pictures) > 1000
    assert len(clusters.encode()) < 5_000_000


@pytest.mark.parametrize(("share", "told"), [(0.15, True), (1.0, False)])
def test_a_run_that_takes_the_whole_pool_does_not_claim_to_keep_to_a_budget(share, told):
    words = Page(build(replace(make_inputs(budget=share), budget="15%"))).words()
    assert ("of a budget of 15%" in words) == told


@pytest.mark.parametrize("make", [make_inputs, make_recurated_inputs, lambda: bought_by_token(make_inputs())])
def test_no_sentence_runs_into_the_next(make):
    words = Page(build(make())).words()
    assert re.findall(r"[a-z)]\.[A-Z]\w*", words) == []
