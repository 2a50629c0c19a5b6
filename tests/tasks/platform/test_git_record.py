"""The record of a run in git: whether it can be made is known before the run, and one that fails ends nothing."""

import subprocess
from pathlib import Path

import pytest

from components.parameters.parameters import VersioningParameters
from tasks.platform.dvc_objects import DvcConfigError, NoGitRepositoryError, open_repository
from tasks.platform.git_record import GitIdentityError, check_git, commit_files
from tasks.platform.run_files import CodeUnknownError, git_commit

COMMITS = VersioningParameters(push_to_remote=False, commit_to_git=True)
IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that nobody has an identity in; the working directory."""
    for name in IDENTITY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.chdir(tmp_path)
    for command in (["init", "-q"], ["config", "user.useConfigOnly", "true"]):
        subprocess.run(["git", *command], check=True)
    (tmp_path / "dvc.lock").write_text("{}", encoding="utf-8")
    return tmp_path


def test_a_missing_identity_is_found_before_the_run(repository: Path) -> None:
    with pytest.raises(GitIdentityError, match=r"user\.email"):
        check_git(COMMITS)
    check_git(COMMITS.model_copy(update={"commit_to_git": False}))
    subprocess.run(["git", "config", "user.name", "test"], check=True)
    subprocess.run(["git", "config", "user.email", "test@example.invalid"], check=True)
    check_git(COMMITS)
    assert commit_files(["dvc.lock"], "Record") == ""
    assert commit_files(["dvc.lock"], "Record") == "", "nothing has changed"
    assert len(git_commit()) == 40


@pytest.mark.parametrize("how", ["identity", "hook", "lock", "file"])
def test_a_commit_that_fails_is_said_and_ends_nothing(repository: Path, how: str) -> None:
    if how != "identity":
        subprocess.run(["git", "config", "user.name", "test"], check=True)
        subprocess.run(["git", "config", "user.email", "test@example.invalid"], check=True)
    if how == "hook":
        hook = repository / ".git/hooks/pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n", encoding="utf-8")
        hook.chmod(0o755)
    if how == "lock":
        (repository / ".git/index.lock").touch()
    words = {"identity": "email", "hook": "not today", "lock": "index.lock", "file": "params.yaml"}
    assert words[how] in commit_files(["params.yaml" if how == "file" else "dvc.lock"], "Record")


def test_without_git_it_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(CodeUnknownError, match="git is not installed"):
        git_commit()
    with pytest.raises(CodeUnknownError, match="git is not installed"):
        check_git(COMMITS)


def test_git_that_fails_is_no_project_without_its_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "config", "user.name", "test"], check=True)
    subprocess.run(["git", "config", "user.email", "test@example.invalid"], check=True)
    assert commit_files(["dvc.lock"], "Record") == ""
    (repository / ".git/index").write_bytes(b"damaged")
    with pytest.raises(CodeUnknownError, match="index"):
        git_commit()
    (repository / "settings").write_text("[user\n", encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(repository / "settings"))
    with pytest.raises(CodeUnknownError, match="bad config line 1"):
        check_git(COMMITS)


def test_a_configuration_of_dvc_that_cannot_be_read_is_named(repository: Path) -> None:
    (repository / ".dvc").mkdir()
    (repository / ".dvc/config").write_bytes(b"garbage \xff\x00")
    with pytest.raises(DvcConfigError, match=r"\.dvc/config"):
        open_repository()


def test_a_project_that_came_without_its_repository_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoGitRepositoryError, match="`git init`"):
        open_repository()
    with pytest.raises(NoGitRepositoryError, match="`git init`"):
        check_git(COMMITS.model_copy(update={"commit_to_git": False}))
