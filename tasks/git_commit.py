"""Which code runs."""

import os
import subprocess
import tempfile
from pathlib import Path

# What decides how a run comes out, beside params.yaml, which the run keeps by itself.
CODE = ("components", "tasks", "flows", "conf", "dvc.yaml", "pyproject.toml", "constraints.txt")


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
        if _git(["read-tree", "HEAD"], environment) is None:
            return b""
        _git(["add", "--all", "--", *paths], environment)
        return _git(["diff", "--cached", "--binary", "HEAD", "--", *CODE], environment) or b""


def _git(arguments: list[str], environment: dict[str, str]) -> bytes | None:
    """What a git command prints; None when it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, env=environment, check=False)
    return None if done.returncode else done.stdout
