"""A DVC project of two stages, and a Prefect server."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.environment import configure_environment

CHECKOUT = Path(__file__).parents[2]
PIPELINE = {
    "stages": {
        "count": {
            "cmd": "false",
            "deps": ["data/inputs/numbers.json", "components/code.py"],
            "params": ["seed"],
            "outs": ["data/count"],
        },
        "sum": {"cmd": "false", "deps": ["data/count"], "outs": ["data/sum"]},
    }
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server for all tests of tasks."""
    before = dict(os.environ)
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    with prefect_test_harness(server_startup_timeout=120):
        yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def two_stages(tmp_path: Path, server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A git and DVC project whose second stage reads what the first wrote; it is the working directory."""
    shutil.copytree(CHECKOUT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    shutil.copy(CHECKOUT / ".dvcignore", tmp_path)
    for name, text in {
        "dvc.yaml": yaml.safe_dump(PIPELINE),
        "params.yaml": (CHECKOUT / "params.yaml").read_text(encoding="utf-8"),
        ".gitignore": "/data/\n/.presel/\n",
        "data/inputs/numbers.json": "[1, 2, 3]",
        "components/code.py": "STEP = 1\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for name in ("MLFLOW_TRACKING_URI", "DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    before, environment = Path.cwd(), dict(os.environ)
    configure_environment(tmp_path)
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / ".presel" / "prefect" / "storage"}):
        yield tmp_path
    os.chdir(before)
    os.environ.clear()
    os.environ.update(environment)
