from pathlib import Path

import pytest

from components.storage import write_text
from tasks.platform import unpushed as module
from tasks.platform.unpushed import UNPUSHED, push_run, remember, unpushed
from tasks.platform.workspace import Workspace

LOCK = """schema: '2.0'
stages:
  one:
    outs: [{path: data/one, md5: 11.dir, size: 1}]
"""


def test_what_is_noted_while_another_run_sends_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "dvc.lock", LOCK)
    remember(["a" * 32])

    def send(hashes: set[str]) -> int:
        remember(["b" * 32])  # another run ends meanwhile
        return len(hashes)

    monkeypatch.setattr(module, "push_hashes", send)
    assert push_run(Workspace(".")) == 2
    assert unpushed() == ("b" * 32,)


def test_two_runs_that_end_together_both_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "dvc.lock", LOCK)
    remember(["a" * 32])

    def send(hashes: set[str]) -> int:
        UNPUSHED.unlink()  # the other was a moment faster
        return len(hashes)

    monkeypatch.setattr(module, "push_hashes", send)
    assert push_run(Workspace(".")) == 2
    assert unpushed() == ()


def test_a_workspace_may_be_called_as_the_note_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Workspace("runs/unpushed").exclusive():
        remember(["a" * 32])
    assert unpushed() == ("a" * 32,)
