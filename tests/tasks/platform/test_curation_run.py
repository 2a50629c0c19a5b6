"""What MLflow is told of a curation run: the code is that of the beginning, whatever is edited while it runs."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.platform import curation_run
from tasks.platform.curation_run import open_curation_run
from tasks.platform.tag_names import CODE_TAG, COMMIT_TAG
from tasks.platform.workspace import Workspace

CHECKOUT = Path(__file__).parents[3]


class Told:
    """The journal's place."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.files: dict[str, bytes] = {}

    def open_run(self, _name: str, *, tags: list[tuple[str, str]], **_: object) -> str:
        self.tags = dict(tags)
        return "run"

    def log_file(self, _run: str, file: str) -> None:
        self.files[Path(file).name] = Path(file).read_bytes()


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    (tmp_path / "components").mkdir()
    (tmp_path / "components/a.py").write_text("one = 1\n", encoding="utf-8")
    who = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    told = Told()
    monkeypatch.setattr(curation_run, "open_run", told.open_run)
    monkeypatch.setattr(curation_run, "log_file", told.log_file)
    for name in ("start_telling", "log_values", "set_status", "send"):
        monkeypatch.setattr(curation_run, name, lambda *_, **__: None)
    monkeypatch.setattr(curation_run, "_cost", lambda *_: 0.0)
    return told


def test_the_patch_is_of_the_code_that_ran(told: Told) -> None:
    edited = Path("components/a.py")
    edited.write_text("one = 2\n", encoding="utf-8")
    with open_curation_run(Workspace("."), refresh=False):
        assert told.files.keys() == {"code.diff"}
        edited.write_text("one = 3\n", encoding="utf-8")
    assert b"+one = 2" in told.files["code.diff"]
    assert told.tags[CODE_TAG] == hashlib.sha256(told.files["code.diff"]).hexdigest()
    assert told.tags[COMMIT_TAG].endswith("-dirty")


def test_an_edit_during_the_run_is_no_part_of_it(told: Told) -> None:
    with open_curation_run(Workspace("."), refresh=False):
        Path("components/a.py").write_text("one = 3\n", encoding="utf-8")
    assert told.tags[CODE_TAG] == ""
    assert "code.diff" not in told.files
