"""The stages of a strategy: those of dvc.yaml, or what `conf/strategies/` puts in their place."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

BASE = Path("dvc.yaml")
STRATEGY_FOLDER = Path("conf/strategies")
EARLY = ("ingest", "embed", "cluster")  # of the shared stages, those that a strategy's own ones may read
BASE_STRATEGY = "presel"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The content of a dvc.yaml: stages by name, in an order in which they can run."""

    stages: dict[str, Any]

    def seen_from(self, folder: Path) -> str:
        """As YAML for a workspace: code by its path from there, data inside it."""
        up = os.path.relpath(".", folder)
        stages = {}
        for name, stage in self.stages.items():
            body = dict(stage.get("do", stage))
            body["deps"] = [path if path.startswith("data/") else f"{up}/{path}" for path in body["deps"]]
            stages[name] = {**stage, "do": body} if "do" in stage else body
        return yaml.safe_dump({"stages": stages}, sort_keys=False)


def pipeline_of(strategy: str) -> Pipeline:
    """Put together what a strategy runs.

    Args:
        strategy: its name; every one but PreSel has a file in `conf/strategies`.

    Returns:
        Its stages.
    """
    base = yaml.safe_load(BASE.read_text(encoding="utf-8"))["stages"]
    if strategy == BASE_STRATEGY:
        return Pipeline(base)
    change = yaml.safe_load((STRATEGY_FOLDER / f"{strategy}.yaml").read_text(encoding="utf-8"))
    shared = {name: _reading(stage, change["reads"].get(name)) for name, stage in base.items()}
    kept = {name: stage for name, stage in shared.items() if name not in change["leave_out"]}
    early = {name: kept.pop(name) for name in EARLY if name in kept}
    return Pipeline(early | change["stages"] | kept)


def _reading(stage: dict[str, Any], data: list[str] | None) -> dict[str, Any]:
    """A stage that reads other data than dvc.yaml says, with the same code."""
    if data is None:
        return stage
    return {**stage, "deps": [*data, *(path for path in stage["deps"] if not path.startswith("data/"))]}
