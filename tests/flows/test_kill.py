"""A run that is killed goes on where it was: finished stages are found, unfinished ones continue."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.embedded_server import SERVER_MODULE
from tests.flows.finished_project import FirstRun, change_parameters, copy_project

pytestmark = [pytest.mark.slow(60), pytest.mark.soak]
PATIENCE = 500  # seconds


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, finished: FirstRun) -> Path:
    """A finished project, in which tuning has to be done again, slowly enough to be killed in it."""
    root = copy_project(finished.root, tmp_path_factory.mktemp("killed") / "project")
    change_parameters(root, final_tune={"epochs": 6})
    shutil.rmtree(root / "data/model")
    return root


def start(root: Path) -> subprocess.Popen[str]:
    """`presel run` as a user's shell starts it, with the clone's own code and nothing of this session's settings."""
    foreign = ("PREFECT_", "MLFLOW_", "DVC_", "HF_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    environment |= {"PYTHONPATH": str(root), "COLUMNS": "200"}
    command = [sys.executable, "-m", "flows.command_line.main", "run"]
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill_when(root: Path, reached: Callable[[], bool]) -> None:
    """Start a run and kill it, SIGKILL, at a moment."""
    process = start(root)
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert process.poll() is None, f"the run ended before it could be killed:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def finish(root: Path) -> str:
    process = start(root)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def test_killed_in_tune(clone: Path) -> None:
    scratch = clone / ".presel/scratch"
    kill_when(clone, lambda: len(list(scratch.glob(".project/tune-*/checkpoint-*"))) >= 2)
    assert not (clone / "data/model").exists()

    output = finish(clone)
    lines = output.splitlines()
    assert any("continued at update" in line for line in lines if "tune" in line), output
    computed = [line for line in lines if "images embedded" in line or "samples scored" in line]
    assert computed == [], "stages that were finished before the kill are not run again"
    assert (clone / "data/model/adapter/adapter_model.safetensors").is_file()
    no_server_is_left_behind(clone)


def test_killed_in_embed(tmp_path: Path, finished: FirstRun) -> None:
    """The killed embedding's vectors are kept: the table has one row per image, in more than one commit."""
    import lancedb

    root = copy_project(finished.root, tmp_path / "project")
    change_parameters(root, encoder={"dtype": "float32", "batch_size": 1})
    vectors = root / "data/vectors"
    shutil.rmtree(vectors)
    kill_when(root, lambda: any(vectors.glob("*.lance/_versions/*.manifest")))
    assert not (vectors / "artifact.json").exists(), "the stage was not finished"

    finish(root)
    table = lancedb.connect(vectors).open_table("vectors")
    assert table.count_rows() == 120
    assert len(table.search().select(["image_sha"]).to_arrow()["image_sha"].unique()) == 120
    assert table.version > 1
    no_server_is_left_behind(root)


def no_server_is_left_behind(root: Path) -> None:
    """What a kill orphaned, the next run ended."""
    deadline = time.monotonic() + PATIENCE
    while left := servers_of(root):  # the last run's own ends a moment after it
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def servers_of(root: Path) -> list[int]:
    """Processes of Prefect servers that belong to a project."""
    found = []
    for process in psutil.process_iter():
        try:
            home = process.environ().get("PREFECT_HOME")
            if SERVER_MODULE in process.cmdline() and home == str(root / ".presel/prefect"):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
