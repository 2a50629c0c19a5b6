"""Folders of old work go by age, and only those that are still old when they are deleted."""

import os
import time
from pathlib import Path

import pytest

from components.parameters.parameters import RetentionParameters
from tasks.platform.collect_files import delete_paths, judge_folders
from tasks.platform.journal import now_ms

POLICY = RetentionParameters(days=10, runs=1)
OLD = ("scratch/one/tune-1", "benchmarks/1", "benchmarks/1-model", "reproduced/r", "spool/files-x")


def make(path: Path, *, days_old: float) -> None:
    path.mkdir(parents=True)
    (path / "file").write_text("content", encoding="utf-8")
    then = time.time() - days_old * 86_400
    for one in (path / "file", path):
        os.utime(one, (then, then))


def test_what_nobody_wrote_to_for_long_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = Path(".presel")
    for name in OLD:
        make(state / name, days_old=11)
    make(state / "benchmarks/young", days_old=9)
    (state / "reproduced/r/pool").symlink_to(tmp_path, target_is_directory=True)
    os.utime(state / "reproduced/r", (0, 0))
    os.utime(state / "reproduced/r/pool", (0, 0), follow_symlinks=False)
    items = judge_folders(retention=POLICY, now_ms=now_ms())
    goes = [item for item in items if item.decision.goes]
    assert sorted(item.name for item in goes) == sorted(str(state / name) for name in OLD)
    assert [item.decision.reason for item in items if not item.decision.goes] == ["younger than 10 days"]

    (state / "scratch/one/tune-1/newer").write_text("a checkpoint", encoding="utf-8")
    delete_paths(goes, retention=POLICY, now_ms=now_ms())
    left = sorted(str(path.relative_to(state)) for path in state.glob("*/*") if any(path.rglob("file")))
    assert left == ["benchmarks/young", "scratch/one"], "what was written to since the decision stays"
    assert tmp_path.is_dir(), "links are not followed"
