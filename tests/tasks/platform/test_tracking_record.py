"""What MLflow cannot be told now is kept in order, told later, and told once."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import tasks.platform.tracking_record as recording
from flows.environment import configure_environment
from flows.sync import sync
from tasks.platform.tracking import TrackingRefusedError, experiment_id, tracking_client
from tasks.platform.tracking_operations import LogDataset, LogFile, LogValues, MetricValue, OpenRun, SetStatus
from tasks.platform.tracking_record import (
    contact_at_start,
    log_file,
    log_values,
    open_run,
    record,
    send_spooled,
    set_status,
)
from tasks.platform.tracking_send import LOCAL, mlflow_id, tell
from tasks.platform.tracking_spool import SPOOL, count_waiting, forget, keep, only_sender, refused, waiting

NOBODY = "http://127.0.0.1:9"  # the discard port, where nothing listens


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an MLflow database; making the database takes seconds, so the tests share it."""
    folder = tmp_path_factory.mktemp("tracking")
    before, environment = Path.cwd(), dict(os.environ)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    configure_environment(folder)
    yield folder
    os.chdir(before)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def server(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Server"]:
    """A tracking server that can be taken away."""
    monkeypatch.setattr(recording, "_ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(recording, "_TRUST_SECONDS", 0.0)
    address = os.environ["MLFLOW_TRACKING_URI"]
    contact_at_start()
    yield Server(address)
    os.environ["MLFLOW_TRACKING_URI"] = address
    for entry in (*waiting(), *refused()):
        forget(entry)


class Server:
    def __init__(self, address: str) -> None:
        self._address = address

    def goes_away(self) -> None:
        os.environ["MLFLOW_TRACKING_URI"] = NOBODY

    def comes_back(self) -> None:
        os.environ["MLFLOW_TRACKING_URI"] = self._address


def loss(value: float, step: int) -> MetricValue:
    return MetricValue(name="loss", value=value, step=step, measured_ms=1_700_000_000_000 + step)


def history(run: str) -> list[tuple[int, float, int]]:
    metrics = tracking_client().get_metric_history(mlflow_id(run), "loss")
    return [(metric.step, metric.value, metric.timestamp) for metric in metrics]


def a_whole_run(page: Path) -> tuple[str, str]:
    """Everything a curation run tells, with one stage; returns the run and the stage's run."""
    page.write_text("first", encoding="utf-8")
    run = open_run("curate", tags=[("presel.workspace", ".")])
    log_values(run, params=[("seed", "17")])
    stage = open_run("tune", parent=run, tags=[("presel.stage", "tune")])
    for step in (1, 2, 3):
        log_values(stage, metrics=[loss(1 / step, step)])
    set_status(stage, "FINISHED")
    record(LogDataset(run=run, name="data/manifest", digest="d1", source="{}", profile='{"rows": 3}', context="pool"))
    log_file(run, str(page))
    page.write_text("of the next run", encoding="utf-8")
    log_values(run, tags=[("presel.cost_usd", "1.00")])
    set_status(run, "FINISHED")
    return run, stage


def check_told(run: str, stage: str, tmp_path: Path) -> None:
    client = tracking_client()
    told, child = client.get_run(mlflow_id(run)), client.get_run(mlflow_id(stage))
    assert told.info.status == child.info.status == "FINISHED"
    assert told.data.params == {"seed": "17"}
    assert told.data.tags["presel.cost_usd"] == "1.00"
    assert child.data.tags["mlflow.parentRunId"] == told.info.run_id
    assert history(stage) == [(step, 1 / step, 1_700_000_000_000 + step) for step in (1, 2, 3)]
    (dataset,) = told.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("data/manifest", "d1")
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "pool")]
    (file,) = client.list_artifacts(told.info.run_id)
    assert Path(client.download_artifacts(told.info.run_id, file.path, str(tmp_path))).read_text() == "first"


def test_away_for_the_whole_run(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.goes_away()
    contact_at_start()
    run, stage = a_whole_run(tmp_path / "report.html")
    assert run.startswith(LOCAL)
    assert count_waiting() == 11
    warnings = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert len(warnings) == 1, "one line, not one per operation"
    assert "presel sync" in warnings[0]
    assert sync(discard=False)[1] is False

    server.comes_back()
    said, done = sync(discard=False)
    assert done
    assert "11 sent" in said
    check_told(run, stage, tmp_path / "told")
    assert [path.name for path in SPOOL.glob("files-*")] == []
    assert sync(discard=False) == ("nothing to send", True)


def test_the_kept_run_keeps_its_times(server: Server) -> None:
    server.goes_away()
    run = open_run("curate")
    set_status(run, "FINISHED")
    began, ended = (entry.operation for entry in waiting())
    assert isinstance(began, OpenRun)
    assert isinstance(ended, SetStatus)
    server.comes_back()
    send_spooled()
    info = tracking_client().get_run(mlflow_id(run)).info
    assert (info.start_time, info.end_time) == (began.started_ms, ended.at_ms)


def test_away_in_the_middle(server: Server) -> None:
    run = open_run("tune")
    assert not run.startswith(LOCAL)
    log_values(run, metrics=[loss(3.0, 1)])
    server.goes_away()
    log_values(run, metrics=[loss(2.0, 2)])
    nested = open_run("tune", parent=run)
    server.comes_back()
    log_values(nested, metrics=[loss(1.0, 3)])
    assert count_waiting() == 0, "what was kept is sent when it is noticed that MLflow is back"
    assert [value for _, value, _ in history(run)] == [3.0, 2.0]
    assert [value for _, value, _ in history(nested)] == [1.0]


def test_nothing_overtakes_what_is_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process sends, what is new about the run waits behind what is kept."""
    run = open_run("tune")
    server.goes_away()
    set_status(run, "FAILED")
    server.comes_back()
    with only_sender() as mine:
        assert mine
        set_status(run, "FINISHED")
        assert count_waiting() == 2
        assert tracking_client().get_run(run).info.status == "RUNNING"
    send_spooled()
    assert tracking_client().get_run(run).info.status == "FINISHED"


@pytest.mark.parametrize("dies_at", range(1, 10))
def test_an_interrupted_replay_tells_nothing_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Killed after MLflow was told and before that was written down, at each operation in turn."""
    server.goes_away()
    run, stage = a_whole_run(tmp_path / "report.html")
    server.comes_back()
    calls = 0

    def tell_and_die(operation: Any) -> str:
        nonlocal calls
        calls += 1
        told = tell(operation)
        if calls == dies_at:
            raise KeyboardInterrupt
        return told

    with monkeypatch.context() as patch:
        patch.setattr(recording, "tell", tell_and_die)
        with pytest.raises(KeyboardInterrupt):
            send_spooled()
    assert count_waiting() > 0
    send_spooled()
    assert count_waiting() == 0
    check_told(run, stage, tmp_path / "told")
    client = tracking_client()
    for identity in (run, stage):
        assert len(client.search_runs([experiment_id(client)], f"tags.`presel.run` = '{identity}'")) == 1


def test_what_mlflow_does_not_take_is_put_aside(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    run = open_run("tune")
    log_values(run, params=[("seed", "17")])
    keep(LogValues(run=run, params=(("seed", "18"),)))  # a parameter cannot change
    keep(LogValues(run=run, metrics=(loss(1.0, 1),)))
    keep(LogValues(run=f"{LOCAL}never-told", metrics=(loss(1.0, 1),)))
    said, done = sync(discard=False)
    assert not done
    assert "did not take 2" in said
    assert [type(entry.operation) for entry in refused()] == [LogValues, LogValues]
    assert [value for _, value, _ in history(run)] == [1.0], "what follows is not held up"
    said, done = sync(discard=True)
    assert done
    assert "2 refused operations deleted" in said


def test_an_operation_whose_file_is_gone_does_not_stop_the_others(server: Server, tmp_path: Path) -> None:
    run = open_run("tune")
    file = tmp_path / "report.html"
    file.write_text("a report", encoding="utf-8")
    keep(LogFile(run=run, file=str(file)))
    keep(LogValues(run=run, metrics=(loss(1.0, 1),)))
    for kept in SPOOL.rglob("report.html"):
        kept.unlink()
    sent = send_spooled()
    assert (sent.left, count_waiting()) == (0, 0)
    assert [type(entry.operation) for entry in refused()] == [LogFile]
    assert [value for _, value, _ in history(run)] == [1.0]
    sync(discard=True)


def test_files_of_an_operation_that_was_never_written_down_are_removed(server: Server) -> None:
    leftover = SPOOL / "files-abc"
    leftover.mkdir(parents=True)
    keep(OpenRun(run=f"{LOCAL}x", name="x", parent=None, tags=(), started_ms=1))
    send_spooled()
    assert not leftover.exists()


class Answers(BaseHTTPRequestHandler):
    status = 401

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else self.status)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    do_POST = do_GET  # noqa: N815 -- the name that the library looks for

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "what_to_do"),
    [(401, "MLFLOW_TRACKING_USERNAME"), (403, "MLFLOW_TRACKING_USERNAME"), (404, "correct MLFLOW_TRACKING_URI")],
)
def test_wrong_credentials_are_no_absence(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int, what_to_do: str
) -> None:
    monkeypatch.setattr(Answers, "status", status)
    with HTTPServer(("127.0.0.1", 0), Answers) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:secret@127.0.0.1:{http.server_port}")
        with pytest.raises(TrackingRefusedError, match=what_to_do) as caught:
            contact_at_start()
        assert "secret" not in str(caught.value)
        # In the middle of a run the same is no reason to lose hours of work.
        assert open_run("tune").startswith(LOCAL)
        http.shutdown()
    assert count_waiting() == 1
