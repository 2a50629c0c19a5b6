"""Making a run again never writes outside its own folder."""

import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from components.lineage.lock_file import LineageError
from tasks.platform import run_archive
from tasks.platform.rebuild import rebuild_project
from tasks.platform.run_archive import RunArchive

LOCK = "schema: '2.0'\nstages: {}\n"


def archive(workspace: str, commit: str) -> RunArchive:
    return RunArchive(
        run_id="r",
        name="r",
        status="FINISHED",
        started_ms=0,
        ended_ms=1,
        tags={"presel.workspace": workspace, "presel.git_commit": commit},
        lock_text=LOCK,
        parameter_text="overwritten: true\n",
        stages=(),
        strategy="presel",
        ledger="",
        files=frozenset({"snapshots.tar.gz"}),
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "params.yaml").write_text("live: true\n", encoding="utf-8")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    monkeypatch.chdir(root)
    packed = io.BytesIO()
    tarfile.open(fileobj=packed, mode="w:gz").close()
    monkeypatch.setattr(run_archive, "run_file", lambda run_id, name: packed.getvalue())
    return root


def head(project: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("kind", ["absolute", "upwards"])
def test_a_workspace_outside_is_refused(project: Path, kind: str) -> None:
    recorded = archive(str(project) if kind == "absolute" else "../..", head(project))
    with pytest.raises(LineageError, match=r"the workspace '.*' leads out"):
        rebuild_project(recorded, project / ".presel/reproduced/r")
    assert (project / "params.yaml").read_text(encoding="utf-8") == "live: true\n"
    assert not (project / ".presel").exists()


def test_a_workspace_inside_is_laid_out(project: Path) -> None:
    target = project / ".presel/reproduced/r"
    workspace = rebuild_project(replace(archive("runs/mine", head(project))), target)
    assert Path(workspace.root) == target / "runs/mine"
    assert workspace.parameter_file.read_text(encoding="utf-8") == "overwritten: true\n"
