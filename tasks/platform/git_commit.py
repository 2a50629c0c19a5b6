"""Which code runs."""

import os
import subprocess
import tempfile
from pathlib import Path

from components.errors import UserError

_SECRET = ("*.env", ".env*", "*secret*", "*credential*", "*password*", "*.pem", "*.key")
# What decides how a run comes out, beside params.yaml, which the run keeps by itself.
CODE = ("components", "tasks", "flows", "conf", "dvc.yaml", "pyproject.toml", "constraints.txt")


class CodeUnknownError(UserError, RuntimeError):
    """Git does not say what the code differs in from its commit."""


def git_commit() -> str:
    """The checked-out commit, marked when files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown (not a git commit yet)"


def uncommitted_changes() -> bytes:
    """What the code and the configuration differ in from the checked-out commit, new files included.

    Returns:
        A patch that `git apply` takes; empty when nothing differs or this is no git commit.
    """
    with tempfile.TemporaryDirectory(prefix="presel-index-") as folder:
        # An index of its own: the user's stays as it is, and new files can be part of the patch.
        environment = {**os.environ, "GIT_INDEX_FILE": str(Path(folder) / "index")}
        paths = [path for path in CODE if Path(path).exists()]
        if _git(["rev-parse", "--verify", "--quiet", "HEAD"], environment, may_fail=True) is None:
            return b""
        _git(["read-tree", "HEAD"], environment)
        _git(["add", "--update", "--", *paths], environment)
        # A new file that may hold a secret stays out of MLflow.
        _git(["add", "--all", "--", *paths, *(f":(exclude,glob,icase)**/{name}" for name in _SECRET)], environment)
        return _git(["diff", "--cached", "--binary", "HEAD", "--", *CODE], environment) or b""


def _git(arguments: list[str], environment: dict[str, str], *, may_fail: bool = False) -> bytes | None:
    """What a git command prints; None when it fails and may.

    Raises:
        CodeUnknownError: it failed; to record nothing would call changed code unchanged.
    """
    done = subprocess.run(["git", *arguments], capture_output=True, env=environment, check=False)
    if done.returncode and not may_fail:
        said = done.stderr.decode(errors="replace").strip()
        raise CodeUnknownError(f"which code runs cannot be recorded, `git {' '.join(arguments[:2])}` failed: {said}")
    return None if done.returncode else done.stdout
