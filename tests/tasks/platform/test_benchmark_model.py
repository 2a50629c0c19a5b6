"""Adapters of two models never meet in one folder."""

from pathlib import Path

import pytest

from tasks.platform import benchmark_model
from tasks.platform.benchmark_model import find_adapter
from tasks.platform.workspace import Workspace


def test_every_benchmark_fetches_into_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FlowRun:
        id = "first"

    def download(uri: str, dst_path: str) -> str:
        file = Path(dst_path) / "artifacts/adapter" / f"of-{uri.rpartition('/')[2]}"
        file.parent.mkdir(parents=True)
        file.write_text(uri, encoding="utf-8")
        return dst_path

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    monkeypatch.setattr(benchmark_model, "flow_run", FlowRun)
    one = find_adapter(Workspace("."), "small/1")
    FlowRun.id = "second"
    two = find_adapter(Workspace("."), "small/2")
    assert [path.name for path in one.iterdir()] == ["of-1"]
    assert [path.name for path in two.iterdir()] == ["of-2"]
