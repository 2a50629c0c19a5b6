"""The pipelines of all strategies fit together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.strategies.names import STRATEGY_NAMES
from flows.pipeline import STRATEGY_FOLDER, pipeline_of
from flows.stages import STAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def outputs(stage: dict[str, Any]) -> list[str]:
    return [next(iter(out)) if isinstance(out, dict) else out for out in stage.get("do", stage)["outs"]]


def test_every_strategy_has_steps_and_a_pipeline():
    assert {path.stem for path in STRATEGY_FOLDER.glob("*.yaml")} == set(STRATEGY_NAMES) - {"presel"}


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_every_stage_reads_what_an_earlier_one_wrote(strategy):
    written: list[str] = []
    for name, stage in pipeline_of(strategy).stages.items():
        for path in stage.get("do", stage)["deps"]:
            if not path.startswith("data/") or path.startswith(("data/inputs/", "data/earlier/")):
                continue
            made = any(Path(path).is_relative_to(out) or Path(out).is_relative_to(path) for out in written)
            assert made, f"{strategy}: {name} reads {path}, which no stage before it writes"
        written += outputs(stage)
        assert name in STAGES
    assert len(set(written)) == len(written), "two stages write one output"


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_every_stage_is_called_by_its_own_name(strategy):
    for name, stage in pipeline_of(strategy).stages.items():
        command = stage.get("do", stage)["cmd"]
        assert command == f"python -m flows.stage {name}" + ("@${item}" if "do" in stage else "")


@pytest.mark.parametrize("strategy", sorted(set(STRATEGY_NAMES) - {"presel"}))
def test_what_a_strategy_changes_is_there_to_be_changed(strategy):
    base = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    change = yaml.safe_load((STRATEGY_FOLDER / f"{strategy}.yaml").read_text(encoding="utf-8"))
    assert set(change["leave_out"]) | set(change["reads"]) <= set(base)
    assert not set(change["stages"]) & set(base)
