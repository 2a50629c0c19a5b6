"""What an MLflow run carries so that it can be walked back, checked and made again, whether or not anyone committed."""

import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.errors import UserError
from components.lineage.machine import this_machine
from components.storage import write_bytes, write_text
from tasks.platform.workspace import Workspace

_SECRET = ("*.env", ".env*", "*secret*", "*credential*", "*password*", "*.pem", "*.key")
# What decides how a run comes out, beside params.yaml, which the run keeps by itself.
CODE = ("components", "tasks", "flows", "conf", "dvc.yaml", "pyproject.toml", "constraints.txt")
MACHINE_NAME = "machine.json"
CODE_NAME = "code.diff"
SNAPSHOTS_NAME = "snapshots.tar.gz"
# Below data/, what stages read and no stage writes: DVC does not keep it, so the run does.
INPUTS = "inputs"
# What a recuration goes on from is in the DVC store, as outputs of an earlier run, and this file says which; what a
# curation from scratch goes on from, tables without rows, is in no store.
EARLIER = "earlier"
_EARLIER_RECORD = "earlier.json"


class CodeUnknownError(UserError, RuntimeError):
    """Git does not say what the code differs in from its commit."""


def git_commit() -> str:
    """The checked-out commit, marked when files differ from it.

    Raises:
        CodeUnknownError: git is not installed, or cannot read the repository.
    """
    done = git_output(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
    if done.returncode and not git_output(["rev-parse", "--verify", "--quiet", "HEAD"]).returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise CodeUnknownError(f"which code runs cannot be recorded, `git describe` failed: {said}")
    return done.stdout.decode().strip() or "unknown (not a git commit yet)"


def git_output(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """What a git command says and how it ends, which is no error whatever it is.

    Raises:
        CodeUnknownError: git is not installed.
    """
    try:
        return subprocess.run(["git", *arguments], capture_output=True, env=environment, check=False)
    except FileNotFoundError as error:
        raise CodeUnknownError(
            "git is not installed, and a run has to record which code it ran: install it and call presel again"
        ) from error


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
        # Not `git diff`, which shows it as the user likes it: in colours, without prefixes, by a program of theirs.
        plain = ["--cached", "--binary", "--patch", "--no-color", "--no-ext-diff", "--no-textconv"]
        return _git(["diff-index", *plain, "HEAD", "--", *CODE], environment) or b""


def _git(arguments: list[str], environment: dict[str, str], *, may_fail: bool = False) -> bytes | None:
    """What a git command prints; None when it fails and may.

    Raises:
        CodeUnknownError: it failed; to record nothing would call changed code unchanged.
    """
    done = git_output(arguments, environment)
    if done.returncode and not may_fail:
        said = done.stderr.decode(errors="replace").strip()
        raise CodeUnknownError(f"which code runs cannot be recorded, `git {' '.join(arguments[:2])}` failed: {said}")
    return None if done.returncode else done.stdout


class SnapshotError(UserError, ValueError):
    """The snapshots that a run carries cannot be laid out."""


@contextmanager
def run_files(workspace: Workspace) -> Iterator[tuple[Path, ...]]:
    """Write the files that go with a run when it ends into a temporary folder, for as long as the block lasts.

    dvc.lock and params.yaml as they are; the pipeline; the machine; the snapshots.
    """
    with tempfile.TemporaryDirectory(prefix="presel-run-") as name:
        folder = Path(name)
        write_text(folder / MACHINE_NAME, this_machine().as_json())
        write_bytes(folder / SNAPSHOTS_NAME, _packed(workspace))
        own = [workspace.lock_file, workspace.pipeline_file, workspace.parameter_file]
        yield (*(file for file in own if file.exists()), *sorted(folder.iterdir()))


@dataclass(frozen=True, slots=True)
class RunningCode:
    """The code of a run as it begins: an edit during a long run is no part of it.

    Attributes:
        commit: as `git_commit` says it.
        changes: what differs from the commit, as a patch; empty when nothing does.
    """

    commit: str
    changes: bytes

    @property
    def digest(self) -> str:
        """sha256 of the changes, hex; empty without any."""
        return hashlib.sha256(self.changes).hexdigest() if self.changes else ""


def running_code() -> RunningCode:
    """The code as it is now."""
    return RunningCode(git_commit(), uncommitted_changes())


@contextmanager
def code_file(code: RunningCode) -> Iterator[Path]:
    """Write the changes as the file that goes with a run, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="presel-run-") as name:
        file = Path(name) / CODE_NAME
        write_bytes(file, code.changes)
        yield file


def unpack_snapshots(packed: bytes, workspace: Workspace) -> None:
    """Lay the snapshots of a run out in a workspace.

    Args:
        packed: content of `SNAPSHOTS_NAME`.
        workspace: whose `data/` they go to.

    Raises:
        SnapshotError: something in it is not a file below `data/`; nothing is written then.
    """
    target = Path(workspace.root) / "data"
    # Not `extractall` with its filter, which Python has from 3.11.4 on: Debian 12 comes with 3.11.2.
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        members = [member for member in archive if not member.isdir()]
        for member in members:
            name = PurePosixPath(member.name)
            if not member.isfile() or name.is_absolute() or ".." in name.parts:
                raise SnapshotError(
                    f"{SNAPSHOTS_NAME} of the run holds {member.name!r}, which is not a file below data/: it was not "
                    "written by presel, and nothing of it is unpacked"
                )
        for member in members:
            content = archive.extractfile(member)
            assert content is not None
            write_bytes(target / member.name, content.read())


def _packed(workspace: Workspace) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
        earlier = f"{EARLIER}/{_EARLIER_RECORD}"
        for name in (INPUTS, earlier if workspace.artifact(earlier).exists() else EARLIER):
            if workspace.artifact(name).exists():
                archive.add(workspace.artifact(name), arcname=name)
    return buffer.getvalue()
