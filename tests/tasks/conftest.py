"""A DVC project of two stages."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.project_environment import prefect_results_in, project_environment

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


@pytest.fixture
def two_stages(tmp_path: Path, prefect_server: None) -> Iterator[Path]:
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
    with project_environment(tmp_path), prefect_results_in(tmp_path):
        yield tmp_path
