"""A run that has registered its model ends well, whatever became of the answers that the gate needs."""

import logging

import pyarrow as pa
import pytest

from components.lineage.lock_file import LineageError
from tasks.platform import promotion
from tasks.platform.promotion import judge_registered
from tasks.platform.publish import RegisteredVersion
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.platform.workspace import Workspace


@pytest.mark.parametrize("error", [LineageError("object 11 was damaged"), pa.ArrowInvalid("object 11 was damaged")])
def test_answers_that_cannot_be_read_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def damaged(*_: object) -> None:
        raise error

    monkeypatch.setattr(promotion, "_judge_registered", damaged)
    monkeypatch.setattr(promotion, "get_run_logger", logging.getLogger)
    run = CurationRun(workspace=Workspace("."), mlflow_run_id="r")
    registered = RegisteredVersion(name="small", version="3", created=True)
    benchmark = Artifact(
        stage="b", path="data/benchmark/tuned", dvc_hash="1.dir", rows=1, schema_version=1, seconds=0.0
    )
    assert judge_registered.fn(run, registered, benchmark) is None
    assert "object 11 was damaged" in caplog.text
    assert "`presel promote 3`" in caplog.text
