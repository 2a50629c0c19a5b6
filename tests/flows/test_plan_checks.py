"""`presel plan` over the command line makes the checks of a run, says what is left out, and changes nothing."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from flows.prepare_workspace import prepare_workspace
from tasks.platform.workspace import Workspace
from tests.flows.command import Ended, presel
from tests.flows.small_project import CHECKOUT, make_project
from tests.project_environment import project_environment

POOL = Path("pool")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("checks") / "project")


def plan(root: Path, **changes: object) -> Ended:
    """Plan with a file of parameters laid over those of the project."""
    overlay = root / "over.yaml"
    overlay.write_text(yaml.safe_dump(changes), encoding="utf-8")
    return presel(root, "plan", "--params", str(overlay), "--name", "checked")


def annotations(root: Path, change, name: str = "changed.json") -> dict[str, object]:
    """Parameters with annotations of which each record was changed."""
    records = [change(record) for record in json.loads((root / POOL / "annotations.json").read_text())]
    (root / POOL / name).write_text(json.dumps(records), encoding="utf-8")
    return {"instructions": {"annotations": [{"path": f"pool/{name}", "image_root": "pool/images"}]}}


def source(path: str, **rule: object) -> dict[str, object]:
    return {"kind": "llava_json", "path": path, "image_root": "pool/images", "task": rule or {"field": "task"}}


def states(root: Path) -> dict[str, str]:
    """What is in the project; what a plan finds out about images is remembered."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".presel", "__pycache__", ".dvc", ".git"} & set(path.relative_to(root).parts)
    }


def test_what_is_left_out_is_counted_with_its_reasons(project: Path) -> None:
    records = json.loads((project / POOL / "pool.json").read_text())
    for record in records[::3]:
        record["file_name"] = record.pop("image")
    (project / POOL / "odd.json").write_text(json.dumps(records), encoding="utf-8")
    ended = plan(project, sources=[source("pool/odd.json")])
    assert ended.code == 0, ended.output
    assert "120 records: 80 samples, 40 left out (40 invalid_record)" in ended.stdout
    assert "it has file_name" in ended.stdout
    assert "Benchmark set color: 8 questions." in ended.stdout
    assert "Annotations pool/annotations.json: 120 of 120 records are usable." in ended.stdout
    assert "Every sample has a record in the annotation files." in ended.stdout


def test_a_budget_that_is_too_small_for_what_is_left_says_what_was_left_out(project: Path) -> None:
    records = json.loads((project / POOL / "pool.json").read_text())
    (project / POOL / "one.json").write_text(json.dumps([{**one, "id": 1} for one in records]), encoding="utf-8")
    ended = plan(project, sources=[source("pool/one.json")])
    assert ended.code == 2
    assert "(120 records: 2 samples, 118 left out (118 duplicate_id))" in ended.stderr


def test_questions_about_images_of_the_pool_are_counted(project: Path) -> None:
    ended = plan(project, benchmark={"sets": [{**SET, "path": "pool/annotations.json"}]})
    assert "Benchmark set s: 120 questions, 120 of them not asked because their image is in the pool." in ended.stdout


def without(key):
    return lambda record: {name: value for name, value in record.items() if name != key}


def test_annotations_without_ids_and_tasks_are_found(project: Path) -> None:
    assert plan(project, **annotations(project, lambda record: {**record, "task": "other"})).code == 2
    ended = plan(project, **annotations(project, without("task")))
    assert "Every sample has a record" in ended.stdout, ended.output
    records = [without("id")(record) for record in json.loads((project / POOL / "pool.json").read_text())]
    (project / POOL / "nameless.json").write_text(json.dumps(records), encoding="utf-8")
    ended = plan(project, sources=[source("pool/nameless.json")], **annotations(project, without("id")))
    assert "Every sample has a record" in ended.stdout, ended.output


GONE = {"path": "gone.json", "image_root": "pool/images"}
SET = {"name": "s", "path": "pool/benchmark_color.json", "image_root": "pool/images", "metric": "exact_match"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instructions": {"annotations": [GONE]}}, "gone.json: no such file; correct instructions.annotations"),
        ({"instructions": {"annotations": []}}, "no file is listed"),
        ({"instructions": {"annotations": [{**GONE, "path": "pool/cut.json"}]}}, "ends early"),
        ({"instructions": {"annotations": [{**GONE, "path": "pool/pool.json"}]}}, "0 of 120 records are usable"),
        ({"instructions": {"annotations": [{**GONE, "path": "pool/benchmark_color.json"}]}}, "none of 120 samples"),
        ({"benchmark": {"sets": [{**SET, "path": "gone.json"}]}}, "gone.json: no such file"),
        ({"benchmark": {"sets": [{**SET, "path": "pool/cut.json"}]}}, "ends early"),
        ({"benchmark": {"sets": [{**SET, "path": "pool/pool.json"}]}}, "has no usable record"),
        ({"benchmark": {"sets": [{**SET, "image_root": "nowhere"}]}}, "has no usable record"),
        ({"benchmark": {"sets": [{**SET, "metric": "yes_no_f1"}]}}, "metric yes_no_f1 does not fit"),
        ({"sources": [source("gone.json")]}, "gone.json: no such file"),
        ({"encoder": {"model": str(CHECKOUT / "demo/models/tiny-llava")}}, "it is of type 'llava'"),
        ({"encoder": {"device": "cuda:99"}}, "encoder.device is 'cuda:99'"),
    ],
)
def test_what_a_run_cannot_use_is_said_by_the_plan(project: Path, changes: dict[str, object], message: str) -> None:
    (project / POOL / "cut.json").write_text('[{"id": "1", "ima', encoding="utf-8")
    ended = plan(project, **changes)
    assert ended.code == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.output


def test_a_plan_writes_and_deletes_nothing(project: Path) -> None:
    (project / "over.yaml").write_text("seed: 5\n", encoding="utf-8")
    before = states(project)
    assert presel(project, "plan", "--params", str(project / "over.yaml"), "--name", "new").code == 0
    assert presel(project, "plan").code == 0
    assert states(project) == before
    assert not (project / "runs").exists()


def test_a_plan_leaves_another_runs_folder_alone(project: Path) -> None:
    """A run laid its workspace out, with other parameters than those that are planned under its name."""
    with project_environment(project):
        prepare_workspace(settings=["seed=5"], name="other")
        before = states(project)
        with Workspace("runs/other").exclusive():  # it works there still
            ended = presel(project, "plan", "--set", "seed=6", "--name", "other")
    assert ended.code == 0, ended.output
    assert states(project) == before
    shutil.rmtree(project / "runs")


@pytest.mark.parametrize(
    ("text", "code"),
    [("", 0), ("schema: '2.0'\n", 0), ("stages:\n", 0), ("<<<<<<< ours\nstages: {}\n=======\n>>>>>>> theirs\n", 2)],
)
def test_a_lock_file_that_names_no_stage_or_is_broken(project: Path, text: str, code: int) -> None:
    lock = project / "dvc.lock"
    lock.write_text(text, encoding="utf-8")
    done = presel(project, "plan")
    lock.unlink()
    assert done.code == code, done.output
    assert "Traceback" not in done.output
    assert code == 0 or "dvc.lock cannot be read" in done.stderr


def test_a_disk_that_is_too_small_for_what_comes_is_said(project: Path) -> None:
    large = presel(project, "plan", "--strategy", "tive", "--set", "tive.projection=1000000000000", "--name", "large")
    assert large.code == 0, large.output
    said = " ".join(large.stdout.split())
    # Nine tenths of 120 samples x 10^12 numbers x 4 bytes, once or, where DVC's cache has to copy, twice.
    assert re.search(r"would run write to runs/large/data( and \S+)* takes (432|864),000\.0 GB at least, and", said)
    assert "are free there. Free space where the project" in said
    assert "are free there" not in plan(project, strategy="tive").stdout
