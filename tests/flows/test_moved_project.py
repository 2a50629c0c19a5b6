"""A checkout that is moved or copied, with what MLflow and Prefect keep in it by absolute paths."""

import fcntl
import shutil
import sqlite3
from pathlib import Path

import pytest

from flows.moved_project import MovedProjectError, follow_move
from tasks.platform.journal import log_file, open_run, send
from tasks.platform.run_archive import run_file
from tasks.platform.tracking import tracking_client
from tests.project_environment import project_environment

OTHER_PLACES = ("copy", "a copy of möhre", "original/inside", "original-2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project in which one run has a file, and the run's id."""
    root = tmp_path_factory.mktemp("places") / "original"
    root.mkdir()
    (root / "told.txt").write_text("first", encoding="utf-8")
    with project_environment(root):
        run = open_run("first")
        log_file(run, "told.txt")
        results = root / ".presel/prefect/storage"
        results.mkdir(parents=True)
        (results / "key").write_text(f'{{"storage_key": "{results}/key", "other": "/x{root}/y"}}', encoding="utf-8")
    return root, run


@pytest.fixture
def original(made: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """The same at a place of the test's own."""
    root = tmp_path / "original"
    shutil.copytree(made[0], root)
    with project_environment(root):
        pass
    return root, made[1]


@pytest.mark.parametrize("place", OTHER_PLACES)
def test_a_copy_reads_and_writes_its_own_files_alone(original: tuple[Path, str], tmp_path: Path, place: str) -> None:
    root, run = original
    before = sorted(path for path in root.rglob("*") if "inside" not in path.parts)
    copy = tmp_path / place
    shutil.copytree(root, copy)
    (copy / "told.txt").write_text("second", encoding="utf-8")
    for _ in range(2):  # nothing is moved a second time
        with project_environment(copy):
            assert run_file(run, "told.txt") == b"first"
    with project_environment(copy):
        second = open_run("second")
        log_file(second, "told.txt")
        assert send().left == 0
        assert run_file(second, "told.txt") == b"second"
        assert tracking_client().get_run(second).info.artifact_uri.startswith(f"{copy.as_uri()}/.presel/")
    kept = (copy / ".presel/prefect/storage/key").read_text(encoding="utf-8")
    assert kept.startswith(f'{{"storage_key": "{copy}/.presel/prefect/storage/key", "other": "/x')
    assert sorted(path for path in root.rglob("*") if "inside" not in path.parts) == before


def test_a_project_that_was_moved_finds_its_runs(original: tuple[Path, str], tmp_path: Path) -> None:
    root, run = original
    root.rename(tmp_path / "moved")
    with project_environment(tmp_path / "moved"):
        assert run_file(run, "told.txt") == b"first"


def test_one_that_an_earlier_version_left_says_by_its_database_where_it_was(
    original: tuple[Path, str], tmp_path: Path
) -> None:
    root, run = original
    (root / ".presel/place").unlink()
    root.rename(tmp_path / "moved")
    with project_environment(tmp_path / "moved"):
        assert run_file(run, "told.txt") == b"first"


def test_a_run_under_the_other_path_is_waited_for(original: tuple[Path, str], tmp_path: Path) -> None:
    root, _ = original
    lock = root / ".presel/locks/workspaces/.project"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(MovedProjectError, match=f"under the path {root}"):
            follow_move(tmp_path / "mounted", root / ".presel")
    with sqlite3.connect(root / ".presel/mlflow.db") as database:
        locations = [location for (location,) in database.execute("select artifact_uri from runs")]
    assert all(location.startswith(root.as_uri()) for location in locations)


def test_a_database_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / ".presel").mkdir()
    (tmp_path / ".presel/mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(MovedProjectError, match=r"mlflow.db cannot be read .*restore it from a backup"):
        follow_move(tmp_path, tmp_path / ".presel")


@pytest.mark.parametrize("content", [b"", b"garbage \xff\x00", b"half/a/path"])
def test_a_damaged_note_of_the_place_is_written_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "place").write_bytes(content)
    follow_move(tmp_path, tmp_path)
    assert (tmp_path / "place").read_text(encoding="utf-8") == str(tmp_path)
