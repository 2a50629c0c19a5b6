"""Recuration on a small pool: what is new is worked on, what was bought stays, and nothing is done twice."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from PIL import Image
from prefect.client.schemas.objects import StateType

from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.parameters.parameters import ParameterError
from components.pool.manifest import read_samples
from components.recuration.finished import read_finished
from components.schemas import CHOSEN, CLUSTERED_TASKS, SELECTION
from components.selection.reference_set import choose_reference_set
from components.selection.select_pool import KEPT
from components.storage import read_table
from components.strategies.presel.reference_model import read_decision
from flows.curate import curate
from flows.outcome import CurationOutcome
from flows.plan import plan_workspace
from flows.recurate import UNCHANGED, check_recuration, recurate
from tasks.platform.finished import last_finished, reads_alike
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.tracking import experiment_id, tracking_client
from tasks.platform.workspace import STATE, Workspace
from tasks.tune import tune
from tests.flows.command import presel
from tests.flows.small_project import QUESTIONS, draw_image

pytestmark = pytest.mark.slow(90)

FILES = ("pool.json", "annotations.json")
FIRST_POOL = 120
# The second wave: question and images by task.
WAVE = {**{task: (question, 20) for task, question in QUESTIONS.items()}, "outline": ("What outline has it?", 12)}
NEW_IMAGES = sum(count for _, count in WAVE.values())


@dataclass(frozen=True)
class Chosen:
    """What a curation chose."""

    reference: frozenset[str]
    picked: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        return self.reference | self.picked


def chosen(project: Path) -> Chosen:
    reference = read_table(project / "data/reference/reference.parquet", CHOSEN)["sample_id"].to_pylist()
    selection = read_table(project / "data/selection/selection.parquet", SELECTION)
    return Chosen(frozenset(reference), frozenset(selection.filter(selection["picked"])["sample_id"].to_pylist()))


def bought(project: Path) -> int:
    with open_ledger(read_parameters(project)["instructions"]["ledger"]) as ledger:
        return int(ledger_totals(ledger).answered)


def read_parameters(project: Path) -> Any:
    return yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))


def stage_metrics(run_id: str) -> dict[str, dict[str, float]]:
    client = tracking_client()
    query = f"tags.`mlflow.parentRunId` = '{run_id}'"
    return {run.info.run_name: run.data.metrics for run in client.search_runs([experiment_id(client)], query)}


def curated(state: Any) -> CurationOutcome:
    outcome = state.result()
    assert isinstance(outcome, CurationOutcome)
    return outcome


def registered_versions() -> int:
    return len(tracking_client().search_model_versions("name='small'"))


def conversation(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]


def grow_pool(root: Path, left_out: frozenset[str]) -> None:
    """A third more images in every task and a task more; a file is deleted and a file has other bytes.

    Args:
        root: of the pool.
        left_out: files that were chosen, which stay as they are.
    """
    random = np.random.default_rng(5)
    pool, annotations = (json.loads((root / name).read_text(encoding="utf-8")) for name in FILES)
    for task, (question, count) in WAVE.items():
        for index in range(100, 100 + count):
            answer, name = draw_image(root, task, index, random)
            record = {"id": f"{task}-{index}", "image": name, "task": task}
            pool.append(record)
            annotations.append({**record, "conversations": conversation(question, answer)})
    passed_over = sorted(record["image"] for record in pool[:FIRST_POOL] if record["image"] not in left_out)
    (root / "images" / passed_over[0]).unlink()
    changed = root / "images" / passed_over[1]
    Image.open(changed).transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(7).save(changed)
    for name, records in zip(FILES, (pool, annotations), strict=True):
        (root / name).write_text(json.dumps(records), encoding="utf-8")


@pytest.fixture(scope="module")
def first(project: Path) -> Chosen:
    """The finished curation."""
    made = chosen(project)
    assert len(made.all) == bought(project) == 36
    return made


@pytest.fixture(scope="module")
def grown(project: Path, first: Chosen) -> None:
    """The pool has grown, and nothing ran since."""
    samples = read_samples(project / "data/manifest")
    chosen_rows = samples.filter(pc.is_in(samples["sample_id"], value_set=pa.array(sorted(first.all))))
    files = frozenset(uri.split("pool/images/")[1] for uri in chosen_rows["uri"].to_pylist())
    grow_pool(project / "pool", files)


@pytest.fixture(scope="module")
def failed(grown: None) -> str:
    """The recuration of the grown pool ended where the model was to be tuned; its run in MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "fn", run_out_of_memory)
        state = recurate(".", return_state=True)
    assert state.is_failed()
    return newest_run()


def run_out_of_memory(context: StageContext) -> StageSummary:
    raise RuntimeError("no memory left")


def newest_run() -> str:
    client = tracking_client()
    query = "tags.`presel.workspace` = '.'"
    runs = client.search_runs([experiment_id(client)], query, order_by=["attributes.start_time DESC"], max_results=1)
    return str(runs[0].info.run_id)


@pytest.fixture(scope="module")
def second(project: Path, failed: str) -> Chosen:
    """The recuration, run again."""
    assert registered_versions() == 1
    curated(recurate(".", return_state=True))
    return chosen(project)


def test_a_plan_goes_on_without_what_somebody_deleted_or_damaged(project: Path, first: Chosen) -> None:
    """An artifact that is gone is named, a snapshot that is damaged is one that has changed, a note that is says so."""
    manifest, away = project / "data/manifest", project / "data/away"
    manifest.rename(away)
    planned = presel(project, "plan")
    away.rename(manifest)
    assert planned.code == 0, planned.output
    assert "is known when a run has brought data/manifest/samples.parquet back" in " ".join(planned.output.split())
    for name, code, said in (
        ("data/inputs/sources.json", 0, "ingest"),
        ("data/finished.json", 2, "data/finished.json is damaged"),
        ("data/manifest/samples.parquet", 2, "data/manifest/samples.parquet is damaged"),
    ):
        file = project / name
        content = file.read_bytes()
        file.write_bytes(b"garbage \xff\x00")
        planned = presel(project, "plan")
        file.write_bytes(content)
        assert (planned.code, said in planned.output) == (code, True), planned.output


def test_an_unchanged_pool_does_nothing_at_all(project: Path, first: Chosen) -> None:
    before = bought(project), (project / "dvc.lock").read_bytes(), newest_run(), registered_versions()
    state = recurate(".", return_state=True)
    assert (state.type, state.name) == (StateType.COMPLETED, UNCHANGED)
    assert "nothing to do" in (state.message or "")
    assert (bought(project), (project / "dvc.lock").read_bytes(), newest_run(), registered_versions()) == before
    assert plan_workspace(Workspace("."))[1] == ()


def test_the_plan_of_a_grown_pool_names_what_would_run(project: Path, grown: None) -> None:
    before = (project / "data/inputs/sources.json").read_bytes()
    looked_at = (project / STATE / "known-images.parquet").read_bytes()
    text, outdated = plan_workspace(Workspace("."))
    (project / STATE / "known-images.parquet").write_bytes(looked_at)  # the run is to be counted without its help
    reasons = {stage.stage: stage.reasons for stage in outdated}
    assert {"ingest", "embed", "select", "tune", "report"} <= reasons.keys()
    assert reasons["ingest"] == ("input sources.json will change",)
    assert reasons["embed"] == ("reads what ingest will write",)
    assert f"{FIRST_POOL + NEW_IMAGES - 1} " in text or f"{FIRST_POOL + NEW_IMAGES - 1:,} " in text
    assert (project / "data/inputs/sources.json").read_bytes() == before, "a plan changes nothing"


def test_only_what_is_new_is_read_and_embedded(project: Path, failed: str) -> None:
    metrics = stage_metrics(failed)
    new = NEW_IMAGES + 1  # the changed file
    assert (metrics["ingest"]["images_read"], metrics["ingest"]["images_new"]) == (new, new)
    assert (metrics["embed"]["embedded"], metrics["embed"]["reused"]) == (new, FIRST_POOL - 2)
    run = tracking_client().get_run(failed)
    counted = {name: run.data.metrics[name] for name in ("images_new", "images_changed", "images_gone")}
    assert counted == {"images_new": new, "images_changed": 1, "images_gone": 2}


def test_a_recuration_that_failed_goes_on_from_the_same_curation(project: Path, first: Chosen, failed: str) -> None:
    finished = read_finished(project / "data/finished.json")
    assert finished is not None
    assert finished.run != failed
    earlier = read_table(project / "data/earlier/selection/selection.parquet", SELECTION)
    assert set(earlier.filter(earlier["picked"])["sample_id"].to_pylist()) == first.picked
    assert chosen(project).picked != first.picked, "the artifacts are those of the failed run"


def test_what_was_bought_stays_and_the_budget_is_met(project: Path, first: Chosen, second: Chosen) -> None:
    assert first.all <= second.all, "no instruction is thrown away"
    assert first.reference <= second.reference
    assert len(second.all) == (FIRST_POOL - 1 + NEW_IMAGES) * 3 // 10
    assert bought(project) == len(second.all), "bought: the difference, over both runs"
    kept = read_table(project / "data/selection/selection.parquet", SELECTION)
    assert set(kept.filter(pc.equal(kept["reason"], KEPT))["sample_id"].to_pylist()) == first.picked - second.reference


def test_the_new_task_has_members_clusters_and_picks(project: Path, second: Chosen) -> None:
    assert {sample.partition("/")[0] for sample in second.reference} == {"color", "shape", "outline"}
    tasks = read_table(project / "data/clusters/tasks.parquet", CLUSTERED_TASKS)
    verdicts = dict(zip(tasks["task"].to_pylist(), tasks["verdict"].to_pylist(), strict=True))
    assert verdicts["outline"] == "new"
    assert read_decision(project / "data/reference_model").reason == "new task(s): outline"


def test_the_retry_ran_no_finished_stage_again(project: Path, failed: str, second: Chosen) -> None:
    ran = set(stage_metrics(newest_run()))
    assert "tune" in ran
    assert not ran & {"ingest", "embed", "reference", "reference_tune", "score", "cluster", "allocate", "select"}
    assert registered_versions() == 2


@pytest.mark.soak
def test_a_small_growth_keeps_the_reference_model_and_the_clusters(project: Path, second: Chosen) -> None:
    answer, name = draw_image(project / "pool", "color", 900, np.random.default_rng(9))
    for file, more in zip(FILES, ({}, {"conversations": conversation(QUESTIONS["color"], answer)}), strict=True):
        records = json.loads((project / "pool" / file).read_text(encoding="utf-8"))
        records.append({"id": "color-900", "image": name, "task": "color", **more})
        (project / "pool" / file).write_text(json.dumps(records), encoding="utf-8")
    before = (project / "data/reference_model/adapter/adapter_model.safetensors").read_bytes()
    centroids = (project / "data/clusters/centroids.parquet").read_bytes()
    curated(recurate(".", return_state=True))
    metrics = stage_metrics(newest_run())
    assert metrics["embed"]["embedded"] == 1
    assert metrics["score"]["scored"] <= 1
    assert (project / "data/reference_model/adapter/adapter_model.safetensors").read_bytes() == before
    assert (project / "data/clusters/centroids.parquet").read_bytes() == centroids
    assert second.all <= chosen(project).all
    assert bought(project) == len(chosen(project).all)


@pytest.mark.soak
def test_an_emptied_workspace_comes_back(project: Path, second: Chosen) -> None:
    before, had = chosen(project), bought(project)
    versions = registered_versions()
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc/cache")
    (project / "dvc.lock").unlink()
    curated(recurate(".", return_state=True))
    assert chosen(project) == before
    assert (bought(project), registered_versions()) == (had, versions)
    assert recurate(".", return_state=True).name == UNCHANGED


@pytest.mark.soak
def test_from_scratch_forgets_what_was_picked(project: Path, second: Chosen) -> None:
    had = chosen(project)
    curated(curate(".", from_scratch=True, return_state=True))
    selection = read_table(project / "data/selection/selection.parquet", SELECTION)
    assert not pc.any(pc.equal(selection["reason"], KEPT)).as_py()
    samples = read_samples(project / "data/manifest")
    ids, tasks = samples["sample_id"].to_pylist(), samples["task"].to_pylist()
    expected = choose_reference_set(ids, tasks, share=0.1, seed=read_parameters(project)["seed"])
    assert chosen(project).reference == {ids[row] for row in np.flatnonzero(expected)}
    assert bought(project) == len(had.all | chosen(project).all), "what was bought before is not bought again"


@pytest.mark.parametrize(
    ("values", "said"), [({"strategy": "tive"}, "only presel"), ({"allocate": {"rounding": "paper"}}, "only 'exact'")]
)
def test_what_cannot_keep_is_refused(project: Path, tmp_path: Path, values: dict[str, Any], said: str) -> None:
    parameters = read_parameters(project)
    for name, value in values.items():
        parameters[name] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters), encoding="utf-8")
    with pytest.raises(ParameterError, match=said):
        check_recuration(Workspace(str(tmp_path)))


def test_corrected_annotations_do_not_throw_picks_away(project: Path, second: Chosen) -> None:
    """Neither the pool nor a parameter has changed, but what the choice rests on has."""
    finished = last_finished(Workspace("."))
    assert finished is not None
    assert reads_alike(Workspace("."), finished)
    snapshot = project / "data/inputs/instructions.json"
    before = snapshot.read_bytes()
    snapshot.write_bytes(before + b"\n")
    try:
        assert not reads_alike(Workspace("."), finished)
    finally:
        snapshot.write_bytes(before)


def test_a_schedule_without_a_name_does_not_begin_a_curation(project: Path, second: Chosen) -> None:
    (project / "runs/other").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(project / name, project / "runs/other" / name)
    state = recurate("runs/other", return_state=True)
    shutil.rmtree(project / "runs/other")
    assert state.is_failed()
    assert "no curation has finished in workspace 'runs/other', but in .: name that one" in str(state.message)
