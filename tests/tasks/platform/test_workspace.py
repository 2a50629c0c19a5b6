"""One run at a time in a workspace."""

from pathlib import Path

import pytest

from tasks.platform.workspace import Workspace, WorkspaceBusyError


def test_a_second_run_in_the_same_workspace_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Workspace(".").exclusive():
        with pytest.raises(WorkspaceBusyError, match="another run"), Workspace(".").exclusive():
            pass
        with Workspace("runs/other").exclusive(), Workspace("runs/project").exclusive():
            pass
    with Workspace(".").exclusive():
        pass
