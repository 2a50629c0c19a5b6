"""The DVC remote cannot be reached: the run completes and says what waits; the next one copies it."""

import json
from pathlib import Path

import pytest
import yaml

from tests.faults.laboratory import Laboratory

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]
NOWHERE = """[core]
    remote = nowhere
['remote "nowhere"']
    url = http://127.0.0.1:9/
"""


def lacking(root: Path, name: str) -> list[str]:
    """Versions of a run that the remote does not hold."""
    stages = yaml.safe_load((root / "runs" / name / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    hashes = [output["md5"] for stage in stages.values() for output in stage["outs"]]
    store = root / ".presel/dvc-remote/files/md5"
    return [md5 for md5 in hashes if not (store / md5[:2] / md5[2:]).exists()]


def test_the_run_completes_and_the_next_one_pushes(laboratory: Laboratory) -> None:
    root = laboratory.root
    here = ("run", "--set", "baselines=[]", "--set", "final_tune.epochs=4")
    local = root / ".dvc/config.local"
    local.write_text(NOWHERE, encoding="utf-8")
    try:
        done = laboratory.presel(*here, "--name", "unreachable")
    finally:
        local.unlink()
    assert done.code == 0, done.output
    assert "the next run copies them" in done.output
    assert done.output.count("127.0.0.1:9") < 10, "a few lines, not one for every file"
    waiting = json.loads((root / ".presel/unpushed.json").read_text(encoding="utf-8"))
    missing = lacking(root, "unreachable")
    assert missing
    assert set(missing) <= set(waiting)

    # A run of another workspace does, because this one may never run again as it was.
    after = laboratory.presel(*here, "--name", "reachable", "--set", "benchmark.max_new_tokens=4")
    assert after.code == 0, after.output
    assert lacking(root, "unreachable") == []
    assert not (root / ".presel/unpushed.json").exists()
