"""SIGKILL in every stage: what was finished is found, nothing is bought twice, the result is as if undisturbed."""

import re
import sqlite3
from pathlib import Path

import pytest
import yaml

from tests.faults.laboratory import Laboratory

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)]

# In the order of the run, each at another moment of its work in turn.
MOMENTS = ("begins", "has written", "is committed")
# LanceDB's files hold random ids, the report holds the time and the run.
DIFFER = {"embed", "report"}
SIGKILL = -9
# Parameters that no other test of this folder has: what is in the cache is not run and cannot be killed.
OWN = ("--set", "ingest.pixel_limit=170000000", "--set", "seed=101", "--set", "baselines=[]")
HERE = ("run", "--name", "killed", *OWN)


def stages_of(root: Path) -> list[str]:
    """What the project runs; the controls, which run the same code under other names, are left out."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return [name for name, stage in stages.items() if "foreach" not in stage]


def computed(output: str) -> set[str]:
    """The stages that a run computed, and did not find."""
    return set(re.findall(r"  (\w+): Finished in state Completed", output))


def outputs(root: Path) -> dict[str, str]:
    """The version of every stage's output, as DVC recorded it."""
    stages = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return {name: stage["outs"][0]["md5"] for name, stage in stages.items() if name not in DIFFER}


def bought(root: Path) -> tuple[int, int, float]:
    """Instructions sent for, different ones among them, and what they cost."""
    with sqlite3.connect(root / ".presel/ledger.sqlite") as ledger:
        row = ledger.execute("select count(*), count(distinct request_id), sum(price_usd) from attempts").fetchone()
    return int(row[0]), int(row[1]), float(row[2])


def test_killed_in_every_stage(laboratory: Laboratory) -> None:
    root = laboratory.root
    unfinished: set[str] = set()
    for place, stage in enumerate(stages_of(root)):
        moment = MOMENTS[place % len(MOMENTS)]
        ended = laboratory.presel(*HERE, kill=(stage, moment))
        assert ended.code == SIGKILL, f"{stage} was not reached:\n{ended.output}"
        finished = {stage} if moment == "is committed" else set()
        assert computed(ended.output) == unfinished | finished, "finished stages are found, not computed again"
        unfinished = {stage} - finished
    done = laboratory.presel(*HERE)
    assert done.code == 0, done.output
    attempts, requests, cost = bought(root)
    assert attempts == requests, "an instruction was bought twice"
    workspace = root / "runs/killed"
    disturbed = outputs(workspace)

    undisturbed = laboratory.presel(*HERE, "--refresh")
    assert undisturbed.code == 0, undisturbed.output
    assert outputs(workspace) == disturbed
    assert bought(root) == (attempts, requests, cost)
    assert list(workspace.glob("data/**/*.partial")) == []
