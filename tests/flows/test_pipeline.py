"""The pipelines of all strategies fit together, and dvc.yaml says what they are."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from components.strategies.load import load_strategy
from components.strategies.names import STRATEGY_NAMES
from flows.pipeline import pipeline_text
from tasks.platform.workspace import Workspace
from tasks.stages import declarations_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def stages_in(text: str) -> dict[str, Any]:
    return {name: stage.get("do", stage) for name, stage in yaml.safe_load(text)["stages"].items()}


def test_the_committed_pipeline_is_current() -> None:
    declared = pipeline_text(Workspace(".").parameters().strategy)
    assert (ROOT / "dvc.yaml").read_text(encoding="utf-8") == declared, "`presel pipeline --write` writes it"


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_every_stage_reads_what_an_earlier_one_wrote(strategy: str) -> None:
    written: list[str] = []
    for stage in declarations_of(strategy):
        for path in stage.reads_of(load_strategy(strategy)):
            if path.startswith(("inputs/", "earlier/")):
                continue
            ways = [(PurePosixPath(path), PurePosixPath(out)) for out in written]
            made = any(one.is_relative_to(other) or other.is_relative_to(one) for one, other in ways)
            assert made, f"{strategy}: {stage.name} reads {path}, which no stage before it writes"
        written.append(stage.writes)
    assert len(set(written)) == len(written), "two stages write one output"


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_what_is_gone_on_from_is_there_in_a_curation_from_scratch(strategy: str) -> None:
    stages, facts = declarations_of(strategy), load_strategy(strategy)
    beginnings = {stage.writes for stage in stages if stage.nothing}
    for path in {path for stage in stages for path in stage.reads_of(facts) if path.startswith("earlier/")}:
        inside = PurePosixPath(path.removeprefix("earlier/"))
        assert any(inside.is_relative_to(beginning) for beginning in beginnings), path


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_a_workspace_names_code_by_its_path_from_there(strategy: str) -> None:
    here, there = stages_in(pipeline_text(strategy)), stages_in(pipeline_text(strategy, Path("runs/mine")))
    assert list(here) == list(there)
    for name, stage in here.items():
        seen = [path if path.startswith("data/") else f"../../{path}" for path in stage["deps"]]
        assert there[name] == {**stage, "deps": seen}
        assert all((ROOT / path).is_file() for path in stage["deps"] if not path.startswith("data/"))


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_every_stage_is_called_by_its_own_name(strategy: str) -> None:
    for name, stage in yaml.safe_load(pipeline_text(strategy))["stages"].items():
        command = stage.get("do", stage)["cmd"]
        assert command == f"python -m flows.stage {name}" + ("@${item}" if "do" in stage else "")
