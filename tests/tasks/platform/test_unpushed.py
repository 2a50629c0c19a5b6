from pathlib import Path

import pytest

from tasks.platform import unpushed as module
from tasks.platform.unpushed import UNPUSHED, push_run, remember, unpushed
from tasks.platform.workspace import Workspace


def test_what_is_noted_while_another_run_sends_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".presel").mkdir()
    remember(["a" * 32])

    def send(hashes: tuple[str, ...]) -> int:
        remember(["b" * 32])  # another run ends meanwhile
        return len(hashes)

    monkeypatch.setattr(module, "push_outputs", lambda _: 2)
    monkeypatch.setattr(module, "push_hashes", send)
    assert push_run(Workspace(".")) == 3
    assert unpushed() == ("b" * 32,)


def test_two_runs_that_end_together_both_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".presel").mkdir()
    remember(["a" * 32])

    def send(hashes: tuple[str, ...]) -> int:
        UNPUSHED.unlink()  # the other was a moment faster
        return len(hashes)

    monkeypatch.setattr(module, "push_outputs", lambda _: 0)
    monkeypatch.setattr(module, "push_hashes", send)
    assert push_run(Workspace(".")) == 1
    assert unpushed() == ()
