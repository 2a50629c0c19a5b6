"""The record of a run in git, where the parameters ask for it."""

from collections.abc import Sequence
from pathlib import Path

from components.errors import UserError
from components.parameters.parameters import VersioningParameters
from tasks.platform.dvc_objects import NoGitRepositoryError
from tasks.platform.run_files import CodeUnknownError, git_output


class GitIdentityError(UserError, RuntimeError):
    """Git does not know who commits."""


def check_git(parameters: VersioningParameters) -> None:
    """Make sure, before a run works for hours, that git can say what ran, and who commits it if that is asked for.

    Raises:
        CodeUnknownError: git is not installed, or cannot read its configuration or the repository.
        NoGitRepositoryError: the project is in no git repository.
        GitIdentityError: git does not know who commits.
    """
    found = git_output(["rev-parse", "--git-dir"])
    if found.returncode:
        here = Path.cwd()
        if not any((folder / ".git").exists() for folder in (here, *here.parents)):
            raise NoGitRepositoryError
        raise CodeUnknownError(f"which code runs cannot be recorded, git fails in {here}: {_said(found.stderr)}")
    if not parameters.commit_to_git:
        return
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        if git_output(["var", who]).returncode:  # as strict as a commit
            raise GitIdentityError(
                "versioning.commit_to_git is true, and git does not know who commits: set `git config user.name` and "
                "`git config user.email`, or versioning.commit_to_git=false"
            )


def commit_files(files: Sequence[str], message: str) -> str:
    """Commit files, unless they are as they were committed.

    Returns:
        Why git does not; empty when they are committed.
    """
    added = git_output(["add", "--", *files])
    if added.returncode:
        return _said(added.stderr)
    if not git_output(["diff", "--cached", "--quiet", "--", *files]).returncode:
        return ""
    done = git_output(["commit", "-q", "-m", message, "--", *files])
    return (_said(done.stderr or done.stdout) or f"exit code {done.returncode}") if done.returncode else ""


def _said(output: bytes) -> str:
    return " ".join(output.decode(errors="replace").split())[-500:]
