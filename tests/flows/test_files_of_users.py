"""Files and names as users have them, over the command line: each is used, or one sentence says what to do."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.prepare_workspace import prepare_workspace
from tests.flows.command import Ended, presel
from tests.flows.small_project import make_project
from tests.project_environment import project_environment

POOL = Path("pool")
WORD = "A very long description. "


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing runs, whose files the tests copy and change."""
    return make_project(tmp_path_factory.mktemp("files") / "project")


def plan(root: Path, **changes: object) -> Ended:
    """Plan with parameters laid over those of the project."""
    overlay = root / "over.yaml"
    overlay.write_text(yaml.safe_dump(changes), encoding="utf-8")
    return presel(root, "plan", "--params", str(overlay), "--name", "files")


def source(
    path: str, *, kind: str = "llava_json", image_root: str = "pool/images", **more: object
) -> dict[str, object]:
    """One source whose tasks a field names."""
    return {"kind": kind, "path": path, "image_root": image_root, "task": {"field": "task"}, **more}


def records(root: Path, name: str = "pool.json") -> list[dict[str, object]]:
    """The records of the project's pool, or of another of its files."""
    found: list[dict[str, object]] = json.loads((root / POOL / name).read_text(encoding="utf-8"))
    return found


def one_sentence(ended: Ended, *words: str) -> None:
    """A command was refused, in one sentence with these words."""
    assert ended.code == 2, ended.output
    assert "Traceback" not in ended.output
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert all(word in ended.stderr for word in words), ended.stderr


@pytest.mark.parametrize("length", [300, 100_000])
@pytest.mark.parametrize("provider", ["existing", "openai"])
def test_a_task_may_have_a_name_that_no_file_has(root: Path, provider: str, length: int) -> None:
    name = WORD * (length // len(WORD))
    for file in ("pool.json", "annotations.json"):
        renamed = [{**record, "task": f"{name}{record['task']}"} for record in records(root, file)]
        (root / POOL / f"long_{file}").write_text(json.dumps(renamed), encoding="utf-8")
    asked: dict[str, object] = {"annotations": [{"path": "pool/long_annotations.json", "image_root": "pool/images"}]}
    price = {"model": "m", "input_usd": 1.0, "output_usd": 1.0, "batch_factor": 0.5, "image_tokens": {"fixed": 64}}
    ended = plan(
        root,
        sources=[source("pool/long_pool.json")],
        instructions=asked | {"provider": provider, "model": "m"},
        purchase={"base_url": "http://127.0.0.1:9/v1", "prices": [{**price, "as_of": "2026-01-01"}]},
    )
    assert ended.code == 0, ended.output
    assert "36 of 120 images may carry an instruction" in " ".join(ended.stdout.split())
    lines = [line for line in ended.stdout.splitlines() if line.startswith("A very long")]
    assert ["color" in line for line in lines] == [True, False], "two tasks, told apart by their ends"
    assert len(ended.output) < 6_000


def test_a_column_that_is_there_twice(root: Path) -> None:
    columns = [pa.array(["color/0.png"])] * 3
    pq.write_table(pa.Table.from_arrays(columns, names=["image", "task", "image"]), root / POOL / "twice.parquet")
    one_sentence(plan(root, sources=[source("pool/twice.parquet", kind="parquet")]), "2 columns 'image'", "rename")


def test_a_comma_before_the_end_of_a_list(root: Path) -> None:
    text = json.dumps(records(root))
    (root / POOL / "comma.json").write_text(f"{text[:-1]},]", encoding="utf-8")
    one_sentence(plan(root, sources=[source("pool/comma.json")]), "comma.json", "a comma before the closing ]")


def test_images_that_are_links_into_another_folder(root: Path) -> None:
    """As in the cache of Hugging Face's Hub, and in a checkout of DVC that links."""
    snapshot = root / POOL / "snapshot"
    for image in (root / POOL / "images").rglob("*.png"):
        link = snapshot / image.relative_to(root / POOL / "images")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(image, link.parent))
    linked = source("pool/pool.json", image_root="pool/snapshot")
    one_sentence(plan(root, sources=[linked]), "120 outside_root", "sources.further_roots")
    allowed = plan(root, sources=[{**linked, "further_roots": ["pool/images"]}])
    assert "120 records: 120 samples, 0 left out" in allowed.stdout, allowed.output


TALK = [{"from": "human", "value": "<image>\nWhat is shown?"}, {"from": "gpt", "value": "A shape."}]


def test_hold_out_leaves_records_without_an_image_where_they_are(root: Path) -> None:
    odd = [{"id": "text", "task": "color", "conversations": TALK}, {"id": "bare"}]
    for name in ("pool.json", "annotations.json"):
        (root / POOL / f"mixed_{name}").write_text(json.dumps([*records(root, name), *odd]), encoding="utf-8")
    ended = presel(root, "hold-out", "pool/mixed_pool.json", "pool/mixed_annotations.json", "held")
    assert ended.code == 0, ended.output
    assert "1 records stay in the pool undivided, ingest will not use them: text_only" in ended.stdout
    assert "color: 12 held out" in ended.stdout
    left = json.loads((root / "held/pool.json").read_text(encoding="utf-8"))
    assert all(record in left for record in odd)


@pytest.mark.parametrize("content", ['[{"id": 1, ', "[1, 2]", '"id"\r"1"\r', ""])
def test_hold_out_of_a_file_that_is_none(root: Path, content: str) -> None:
    (root / POOL / "none.json").write_text(content, encoding="utf-8")
    one_sentence(presel(root, "hold-out", "pool/none.json", "pool/annotations.json", "none"), "none.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('"request_id"\r"response_1"\r"x"\r', "no columns question_1"),
        ("\x00\r", "names no column request_id"),
        ("", "names no column request_id"),
    ],
)
def test_a_table_of_people_that_nobody_handed_out(root: Path, content: str, message: str) -> None:
    """Lines that end as Excel for Mac ends them, and files of nothing."""
    (root / "table.csv").write_text(content, encoding="utf-8", newline="")
    with project_environment(root):
        prepare_workspace(settings=["instructions.provider=people"], name="people")
    ended = presel(root, "annotate", "import", "table.csv", "--name", "people")
    one_sentence(ended, "table.csv", message)


def test_a_user_without_an_entry_in_passwd_plans(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    ended = presel(root, "plan")
    assert ended.code == 0, ended.output
    assert "120 records: 120 samples" in ended.stdout


@pytest.mark.parametrize("command", [["plan"], ["annotate", "export", "out"], ["pipeline"], ["gc"]])
def test_outside_a_project_every_command_says_so(tmp_path: Path, command: list[str]) -> None:
    one_sentence(presel(tmp_path, *command), "not inside a presel project")
