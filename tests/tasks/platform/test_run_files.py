"""What a run carries with it: changes of the code that git does not have, and snapshots."""

import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest

from tasks.platform.run_files import (
    CODE_NAME,
    MACHINE_NAME,
    SNAPSHOTS_NAME,
    CodeUnknownError,
    SnapshotError,
    code_file,
    run_files,
    running_code,
    uncommitted_changes,
    unpack_snapshots,
)
from tasks.platform.workspace import Workspace


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "components").mkdir(parents=True)
    (root / "components" / "a.py").write_text("one = 1\n", encoding="utf-8")
    (root / "params.yaml").write_text("seed: 1\n", encoding="utf-8")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "start")
    monkeypatch.chdir(root)
    return root


def test_committed_code_has_no_changes(repository: Path) -> None:
    (repository / "params.yaml").write_text("seed: 2\n", encoding="utf-8")
    (repository / "notes.txt").write_text("not code", encoding="utf-8")
    code = running_code()
    assert (code.commit, code.changes, code.digest) == (
        git(repository, "rev-parse", "HEAD").strip() + "-dirty",
        b"",
        "",
    )
    # Parameters are kept by themselves.


TASTES = {
    "none": (),
    "colours": ("color.ui", "always"),
    "no prefixes": ("diff.noprefix", "true"),
    "a program": ("diff.external", "echo"),
    "paths as seen from here": ("diff.relative", "true"),
}


@pytest.mark.parametrize("taste", TASTES)
def test_changed_new_and_binary_files_can_be_applied_elsewhere(repository: Path, tmp_path: Path, taste: str) -> None:
    if TASTES[taste]:
        git(repository, "config", *TASTES[taste])
    (repository / "components" / "a.py").write_text("one = 2\n", encoding="utf-8")
    (repository / "components" / "new.py").write_text("new = 3\n", encoding="utf-8")
    (repository / "components" / "weights.bin").write_bytes(bytes(range(256)))
    before = git(repository, "status", "--short")
    (tmp_path / "patch").write_bytes(uncommitted_changes())
    assert git(repository, "status", "--short") == before, "the user's index is left alone"
    git(tmp_path, "clone", "-q", str(repository), "clone")
    git(tmp_path / "clone", "apply", str(tmp_path / "patch"))
    for name in ("a.py", "new.py", "weights.bin"):
        assert (tmp_path / "clone/components" / name).read_bytes() == (repository / "components" / name).read_bytes()


def test_what_may_hold_a_secret_is_not_told(repository: Path) -> None:
    (repository / "conf").mkdir()
    for name in (".env", "prod.env", "my-Secrets.yaml", "server.key"):
        (repository / "conf" / name).write_text("PASSWORD=hunter2\n", encoding="utf-8")
    (repository / "conf" / "data.yaml").write_text("budget: 15%\n", encoding="utf-8")
    patch = uncommitted_changes()
    assert b"hunter2" not in patch
    assert b"budget: 15%" in patch


def test_changes_that_git_cannot_name_are_not_called_none(repository: Path) -> None:
    (repository / "components" / "a.py").write_text("one = 2\n", encoding="utf-8")
    inner = repository / "conf" / "inner"
    inner.mkdir(parents=True)
    git(inner, "init", "-q")
    with pytest.raises(CodeUnknownError, match="git add"):
        uncommitted_changes()


def test_outside_git_there_are_no_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert uncommitted_changes() == b""


def test_the_files_of_a_run_hold_the_snapshots(repository: Path, tmp_path: Path) -> None:
    workspace = Workspace("runs/one")
    for name in ("inputs/sources.json", "earlier/clusters/clusters.parquet", "selection/selection.parquet"):
        (workspace.artifact(name)).parent.mkdir(parents=True)
        workspace.artifact(name).write_text(name, encoding="utf-8")
    with run_files(workspace) as files:
        assert {MACHINE_NAME, SNAPSHOTS_NAME} <= {file.name for file in files}
        packed = next(file for file in files if file.name == SNAPSHOTS_NAME).read_bytes()
    other = Workspace(str(tmp_path / "other"))
    unpack_snapshots(packed, other)
    assert other.artifact("inputs/sources.json").read_text(encoding="utf-8") == "inputs/sources.json"
    assert other.artifact("earlier/clusters/clusters.parquet").exists()
    assert not other.artifact("selection").exists(), "artifacts are DVC's"


def test_the_code_of_a_run_is_that_of_its_beginning(repository: Path) -> None:
    edited = repository / "components" / "a.py"
    edited.write_text("one = 2\n", encoding="utf-8")
    code = running_code()
    edited.write_text("one = 3\n", encoding="utf-8")
    with code_file(code) as file:
        assert file.name == CODE_NAME
        assert hashlib.sha256(file.read_bytes()).hexdigest() == code.digest
        assert b"+one = 2" in file.read_bytes()


def test_what_a_recuration_goes_on_from_is_named_not_packed(repository: Path, tmp_path: Path) -> None:
    workspace = Workspace("runs/one")
    for name in ("earlier/earlier.json", "earlier/clusters/clusters.parquet"):
        (workspace.artifact(name)).parent.mkdir(parents=True, exist_ok=True)
        workspace.artifact(name).write_text(name, encoding="utf-8")
    with run_files(workspace) as files:
        packed = next(file for file in files if file.name == SNAPSHOTS_NAME).read_bytes()
    other = Workspace(str(tmp_path / "other"))
    unpack_snapshots(packed, other)
    assert other.artifact("earlier/earlier.json").exists()
    assert not other.artifact("earlier/clusters").exists(), "the DVC store has it"


def test_a_packed_file_cannot_leave_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x", encoding="utf-8")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "evil", arcname="../../outside")
    with pytest.raises(SnapshotError, match="not a file below data/"):
        unpack_snapshots((tmp_path / "packed.tar.gz").read_bytes(), Workspace(str(tmp_path / "deep/workspace")))
