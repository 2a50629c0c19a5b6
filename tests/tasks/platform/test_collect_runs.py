import json
from pathlib import Path

import pytest
import yaml

from components.recuration.finished import FinishedCuration, write_finished
from tasks.platform.collect_runs import hashes_at_hand
from tasks.platform.unpushed import remember
from tasks.platform.workspace import Workspace

LOCK = {
    "schema": "2.0",
    "stages": {
        "reference": {
            "cmd": "python -m flows.stage reference",
            "deps": [
                {"path": "data/earlier/reference", "hash": "md5", "md5": "e" * 32 + ".dir", "size": 1, "nfiles": 1}
            ],
            "outs": [{"path": "data/reference", "hash": "md5", "md5": "a" * 32 + ".dir", "size": 1, "nfiles": 1}],
        }
    },
}


def test_what_a_recuration_goes_on_from_and_what_no_remote_has_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".presel").mkdir()
    (tmp_path / "data/earlier").mkdir(parents=True)
    (tmp_path / "runs/other").mkdir(parents=True)
    assert hashes_at_hand([Workspace("."), Workspace("runs/other")]) == frozenset()

    write_finished(tmp_path / "data/finished.json", FinishedCuration("run", "presel", yaml.safe_dump(LOCK)))
    earlier = {"mlflow_run": "older", "artifacts": {"selection": "b" * 32 + ".dir"}}
    (tmp_path / "data/earlier/earlier.json").write_text(json.dumps(earlier), encoding="utf-8")
    remember(["c" * 32])
    assert hashes_at_hand([Workspace("."), Workspace("runs/other")]) == {
        "a" * 32 + ".dir",
        "b" * 32 + ".dir",
        "c" * 32,
        "e" * 32 + ".dir",
    }
