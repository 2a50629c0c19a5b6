"""Artifacts: hashed as DVC hashes them, and every tampering is named."""

import shutil
from pathlib import Path

import pytest

from components.lineage.check_artifacts import check_chain, check_stored, check_workspace_folder
from components.lineage.lock_file import LineageError, LockedPath, LockedStage
from components.lineage.objects import (
    ListedFile,
    artifact_file,
    check_out,
    file_hash,
    folder_listing,
    listing_hash,
    listing_of,
    read_listing,
)
from tests.components.lineage.store import FolderStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    (folder / "inner").mkdir(parents=True)
    (folder / "b.txt").write_text("two", encoding="utf-8")
    (folder / "inner" / "a.txt").write_text("one", encoding="utf-8")
    (folder / "unfinished.partial").write_text("left by a killed process", encoding="utf-8")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def test_a_folder_is_hashed_as_dvc_does(folder: Path, tmp_path: Path) -> None:
    from dvc.repo import Repo

    (folder / "unfinished.partial").unlink()
    project = tmp_path / "project"
    project.mkdir()
    with Repo.init(str(project), no_scm=True) as repository:
        shutil.copytree(folder, project / "artifact")
        (stage,) = repository.add(str(project / "artifact"))
        assert listing_hash(folder_listing(folder)) == stage.outs[0].hash_info.value


def test_what_is_whole_has_no_mismatch(folder: Path, store: FolderStore) -> None:
    artifact = store.add(folder, "data/thing")
    listing, wrong = check_stored(artifact, store)
    assert (listing, wrong) == (folder_listing(folder), [])
    assert [one.path for one in listing] == ["b.txt", "inner/a.txt"], "unfinished files belong to no artifact"
    assert check_workspace_folder(artifact, listing, folder) == []


def test_a_changed_stored_file_is_named(folder: Path, store: FolderStore) -> None:
    artifact = store.add(folder, "data/thing")
    md5 = file_hash(folder / "b.txt")
    (store.root / md5).write_text("zwei", encoding="utf-8")
    (mismatch,) = check_stored(artifact, store)[1]
    assert (mismatch.check, mismatch.name, mismatch.expected) == ("stored artifact", "data/thing/b.txt", md5)
    assert mismatch.found == file_hash(store.root / md5)


def test_a_lost_file_and_a_lost_or_changed_list_are_named(folder: Path, store: FolderStore) -> None:
    artifact = store.add(folder, "data/thing")
    (store.root / file_hash(folder / "inner" / "a.txt")).unlink()
    assert [(one.name, one.found) for one in check_stored(artifact, store)[1]] == [
        ("data/thing/inner/a.txt", "nothing")
    ]
    (store.root / artifact.md5).write_text("[]", encoding="utf-8")
    assert [one.name for one in check_stored(artifact, store)[1]] == ["data/thing (list of files)"]
    (store.root / artifact.md5).unlink()
    listing, (mismatch,) = check_stored(artifact, store)
    assert (listing, mismatch.found) == ((), "nothing")


def test_changed_missing_and_added_files_of_the_workspace_are_named(folder: Path, store: FolderStore) -> None:
    artifact = store.add(folder, "data/thing")
    listing = listing_of(artifact, store)
    (folder / "b.txt").write_text("zwei", encoding="utf-8")
    (folder / "inner" / "a.txt").unlink()
    (folder / "c.txt").write_text("three", encoding="utf-8")
    wrong = {one.name: (one.expected, one.found) for one in check_workspace_folder(artifact, listing, folder)}
    assert wrong["data/thing/b.txt"] == (listing[0].md5, file_hash(folder / "b.txt"))
    assert wrong["data/thing/inner/a.txt"] == (listing[1].md5, "nothing")
    assert wrong["data/thing/c.txt"] == ("nothing", file_hash(folder / "c.txt"))
    shutil.rmtree(folder)
    assert [one.name for one in check_workspace_folder(artifact, listing, folder)] == ["data/thing"]


def test_a_stage_that_read_something_else_than_was_written_is_named() -> None:
    write = LockedStage("a", (), (LockedPath("data/x", "11.dir", 0),))
    listings: dict[str, tuple[ListedFile, ...]] = {"data/x": (ListedFile("f", "22"),)}
    good = LockedStage("b", (LockedPath("data/x", "11.dir", 0), LockedPath("data/x/f", "22", 0)), ())
    assert check_chain((write, good, LockedStage("c", (LockedPath("code.py", "9", 0),), ())), listings) == []
    bad = LockedStage("b", (LockedPath("data/x", "12.dir", 0), LockedPath("data/x/f", "23", 0)), ())
    found = [(one.name, one.expected, one.found) for one in check_chain((write, bad), listings)]
    assert found == [("b read data/x", "11.dir", "12.dir"), ("b read data/x/f", "22", "23")]


@pytest.mark.parametrize("link", [True, False])
def test_an_artifact_is_laid_out_again(folder: Path, store: FolderStore, tmp_path: Path, link: bool) -> None:
    artifact = store.add(folder, "data/thing")
    check_out(artifact, tmp_path / "out", store, link=link)
    assert folder_listing(tmp_path / "out") == folder_listing(folder)
    assert (tmp_path / "out" / "b.txt").stat().st_nlink == (2 if link else 1)
    assert artifact_file(artifact, "inner/a.txt", store).read_text(encoding="utf-8") == "one"


def test_what_is_lost_is_said(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    artifact = store.add(folder, "data/thing")
    with pytest.raises(LineageError, match=r"has no file z\.txt"):
        artifact_file(artifact, "z.txt", store)
    (store.root / file_hash(folder / "b.txt")).unlink()
    with pytest.raises(LineageError, match=r"data/thing/b\.txt at version .* neither in the DVC cache"):
        check_out(artifact, tmp_path / "out", store, link=True)
    assert not (tmp_path / "out").exists(), "nothing is laid out in part"


def test_something_that_is_no_listing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{", encoding="utf-8")
    with pytest.raises(LineageError, match="not the listing of a folder"):
        read_listing(tmp_path / "x")


@pytest.mark.parametrize("path", ["/etc/escaped", "../escaped", "inner/../../escaped", ""])
def test_a_listing_that_leads_out_of_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    listing = tmp_path / "x"
    listing.write_text(f'[{{"md5": "{"a" * 32}", "relpath": "{path}"}}]', encoding="utf-8")
    with pytest.raises(LineageError, match="leads out of its folder" if path else "without a path"):
        read_listing(listing)
