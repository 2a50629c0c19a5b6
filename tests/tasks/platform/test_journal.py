"""What MLflow cannot be told now is kept in order, told later, and told once."""

import json
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from components.storage import write_bytes
from flows.environment import configure_environment
from flows.sync import sync
from tasks.platform import journal, journal_store
from tasks.platform.journal import log_file, log_values, open_run, record, send, set_status, start_telling
from tasks.platform.journal_entries import LogDataset, LogFile, LogValues, MetricValue, OpenRun, Operation, SetStatus
from tasks.platform.journal_store import (
    JOURNAL,
    UNKNOWN_SERVER,
    append,
    count_waiting,
    forget,
    leftover_files,
    only_sender,
    refused,
    waiting,
    waiting_elsewhere,
)
from tasks.platform.journal_telling import LOCAL, mlflow_id, tell
from tasks.platform.stage_tracker import StageTracker
from tasks.platform.tracking import (
    TrackingAwayError,
    TrackingRefusedError,
    check_answers,
    experiment_id,
    server_name,
    tracking_client,
)

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


class Server:
    """The tracking server, which can be taken away; counts how often it was asked whether it is there."""

    def __init__(self) -> None:
        self.asked = 0
        self._away = False

    def goes_away(self) -> None:
        self._away = True

    def comes_back(self) -> None:
        self._away = False

    def check_answers(self) -> None:
        self.asked += 1
        if self._away:
            raise TrackingAwayError("it is gone")


@pytest.fixture
def server(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(journal, "_ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(journal, "_TRUST_SECONDS", 0.0)
    found = Server()
    with monkeypatch.context() as patch:
        patch.setattr(journal, "check_answers", found.check_answers)
        start_telling()
        yield found
    forget(refused())
    forget(waiting())


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
        record(LogValues(run=stage, metrics=(loss(1 / step, step),)))
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
    start_telling()
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
    assert [path.name for path in JOURNAL.glob("files-*")] == []
    assert sync(discard=False) == ("nothing to send", True)


def test_the_kept_run_keeps_its_times(server: Server) -> None:
    server.goes_away()
    run = open_run("curate")
    set_status(run, "FINISHED")
    began, ended = (entry.operation for entry in waiting())
    assert isinstance(began, OpenRun)
    assert isinstance(ended, SetStatus)
    server.comes_back()
    send()
    info = tracking_client().get_run(mlflow_id(run)).info
    assert (info.start_time, info.end_time) == (began.started_ms, ended.at_ms)


def test_away_in_the_middle(server: Server) -> None:
    run = open_run("tune")
    assert not run.startswith(LOCAL)
    log_values(run, metrics=[("loss", 3.0)], step=1)
    server.goes_away()
    log_values(run, metrics=[("loss", 2.0)], step=2)
    nested = open_run("tune", parent=run)
    server.comes_back()
    log_values(nested, metrics=[("loss", 1.0)], step=3)
    assert count_waiting() == 0, "what was kept is sent when it is noticed that MLflow is back"
    assert [value for _, value, _ in history(run)] == [3.0, 2.0]
    assert [value for _, value, _ in history(nested)] == [1.0]


def test_nothing_overtakes_what_is_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process sends, what is new about the run waits behind what is kept."""
    run = open_run("tune")
    server.goes_away()
    set_status(run, "FAILED")
    server.comes_back()
    with only_sender(patience=0.0) as mine:
        assert mine
        set_status(run, "FINISHED")
        assert count_waiting() == 2
        assert tracking_client().get_run(run).info.status == "RUNNING"
    send()
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

    def tell_and_die(operation: Operation) -> None:
        nonlocal calls
        calls += 1
        tell(operation)
        if calls == dies_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal, "tell", tell_and_die)
        with pytest.raises(KeyboardInterrupt):
            send()
    assert count_waiting() > 0
    send()
    assert count_waiting() == 0
    check_told(run, stage, tmp_path / "told")
    client = tracking_client()
    for identity in (run, stage):
        assert len(client.search_runs([experiment_id(client)], f"tags.`presel.run` = '{identity}'")) == 1


def test_what_mlflow_does_not_take_is_put_aside(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    run = open_run("tune")
    log_values(run, params=[("seed", "17")])
    append(LogValues(run=run, params=(("seed", "18"),)))  # a parameter cannot change
    append(LogValues(run=run, metrics=(loss(1.0, 1),)))
    append(LogValues(run=f"{LOCAL}never-told", metrics=(loss(1.0, 1),)))
    said, done = sync(discard=False)
    assert not done
    assert "did not take 2" in said
    assert [type(entry.operation) for entry in refused()] == [LogValues, LogValues]
    assert [value for _, value, _ in history(run)] == [1.0], "what follows is not held up"
    said, done = sync(discard=True)
    assert done
    assert "2 refused entries deleted" in said


def test_an_operation_whose_file_is_gone_does_not_stop_the_others(server: Server, tmp_path: Path) -> None:
    run = open_run("tune")
    file = tmp_path / "report.html"
    file.write_text("a report", encoding="utf-8")
    append(LogFile(run=run, file=str(file)))
    append(LogValues(run=run, metrics=(loss(1.0, 1),)))
    for kept in JOURNAL.rglob("report.html"):
        kept.unlink()
    sent = send()
    assert (sent.left, count_waiting()) == (0, 0)
    assert [type(entry.operation) for entry in refused()] == [LogFile]
    assert [value for _, value, _ in history(run)] == [1.0]
    sync(discard=True)


def test_files_of_an_entry_that_was_never_written_down_are_named(server: Server, tmp_path: Path) -> None:
    leftover = JOURNAL / "files-abc"
    leftover.mkdir(parents=True)
    (tmp_path / "page").write_text("a page", encoding="utf-8")
    append(LogFile(run="r", file=str(tmp_path / "page")))
    assert leftover_files() == (leftover,)
    leftover.rmdir()


def test_metrics_arrive_while_a_stage_runs_in_one_request_for_each_row(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run("curate")
    told: list[Operation] = []
    with StageTracker(run, "tune") as tracker:

        def note_and_tell(operation: Operation) -> None:
            told.append(operation)
            tell(operation)

        monkeypatch.setattr(journal, "tell", note_and_tell)
        tracker.log_metrics([("loss", 2.0), ("learning_rate", 0.1)], step=1)
        (stage,) = tracking_client().search_runs(
            [experiment_id(tracking_client())], f"tags.`mlflow.parentRunId`='{run}'"
        )
        assert stage.info.status == "RUNNING"
        assert stage.data.metrics == {"loss": 2.0, "learning_rate": 0.1}
    assert [type(one) for one in told] == [OpenRun, LogValues, SetStatus]
    assert count_waiting() == 0


def test_a_server_that_is_away_is_not_asked_for_every_number(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_ASK_AGAIN_SECONDS", 30.0)
    server.goes_away()
    asked = server.asked
    for step in range(20):
        log_values("r", metrics=[("loss", 1.0)], step=step)
    assert server.asked == asked + 1
    assert count_waiting() == 20


def test_no_lock_is_held_while_files_are_copied(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_store, "_BUSY_SECONDS", 0.1)
    run = open_run("tune")
    page = tmp_path / "page"
    page.write_text("a page", encoding="utf-8")

    def slow(path: Path, data: bytes) -> None:
        log_values(run, metrics=[("loss", 1.0)])  # another thread or process meanwhile
        write_bytes(path, data)

    monkeypatch.setattr(journal_store, "write_bytes", slow)
    log_file(run, str(page))
    assert [value for _, value, _ in history(run)] == [1.0]
    assert [file.path for file in tracking_client().list_artifacts(run)] == ["page"]


def test_what_is_for_another_server_stays_and_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """MLflow was away in one run, and its variable is unset in the next."""
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"{NOBODY}/")
        server.goes_away()
        run = open_run("curate")
        log_values(run, params=[("seed", "17")])
    server.comes_back()
    here = open_run("curate")
    start_telling()
    assert f"2 entries of the journal wait for {NOBODY}" in caplog.text
    assert waiting_elsewhere() == ((NOBODY, 2),)
    client = tracking_client()
    assert client.get_run(here).info.status == "RUNNING"
    assert client.search_runs([experiment_id(client)], f"tags.`presel.run` = '{run}'") == []
    said, done = sync(discard=True)
    assert not done
    assert f"2 entries wait for {NOBODY}" in said
    said, done = sync(discard=False, discard_for=NOBODY)
    assert done
    assert f"2 entries for {NOBODY} deleted" in said


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://user:secret@MLflow.example:5000/", "http://mlflow.example:5000"),
        ("https://mlflow.example:443/base/", "https://mlflow.example/base"),
        ("sqlite:///{here}/.presel/mlflow.db", "sqlite:///.presel/mlflow.db"),
        ("sqlite:////elsewhere/mlflow.db", "sqlite:////elsewhere/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_a_server_has_one_name(monkeypatch: pytest.MonkeyPatch, address: str, name: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(here=Path.cwd()))
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    assert server_name() == name
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "team")
    assert server_name() == f"{name} (experiment team)"


def test_what_an_earlier_version_kept_is_sent_by_a_person(server: Server, tmp_path: Path) -> None:
    """Its entries do not say which server they are for, so no run sends them."""
    run, folder = f"{LOCAL}earlier", JOURNAL / "files-earlier"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("a report", encoding="utf-8")
    kept = [
        OpenRun(run=run, name="curate", parent=None, tags=(("presel.workspace", "."),), started_ms=1_700_000_000_000),
        LogFile(run=run, file=str(folder / "report.html")),
    ]
    with closing(sqlite3.connect(JOURNAL / "operations.sqlite")) as connection, connection:
        connection.execute("drop table operations")
        connection.execute(
            "create table operations (sequence integer primary key autoincrement, run text not null, "
            "body text not null, refused text)"
        )
        rows = [(one.run, one.model_dump_json()) for one in kept]
        connection.executemany("insert into operations (run, body) values (?, ?)", rows)
    open_run("of this version")
    assert waiting_elsewhere() == ((UNKNOWN_SERVER, 2),)
    said, done = sync(discard=False)
    assert done, said
    told = tracking_client().get_run(mlflow_id(run))
    assert told.data.tags["presel.workspace"] == "."
    assert [file.path for file in tracking_client().list_artifacts(told.info.run_id)] == ["report.html"]
    assert not folder.exists()


def test_an_entry_that_cannot_be_read_does_not_stop_the_others(server: Server) -> None:
    run = open_run("tune")
    append(LogValues(run=run, metrics=(loss(1.0, 1),)))
    with closing(sqlite3.connect(JOURNAL / "operations.sqlite")) as connection, connection:
        connection.execute("update operations set body = ?", (json.dumps({"kind": "of another version"}),))
    log_values(run, metrics=[("loss", 2.0)], step=2)
    assert [value for _, value, _ in history(run)] == [2.0]
    (entry,) = refused()
    assert "cannot read it" in str(entry)


def test_the_files_of_an_entry_go_with_it_where_python_names_them_from_the_root(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tempfile.mkdtemp` gives an absolute path from Python 3.12 on."""
    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **options: str(Path(make(**options)).absolute()))
    (tmp_path / "page").write_text("a page", encoding="utf-8")
    append(LogFile(run="r", file=str(tmp_path / "page")))
    assert forget(waiting()) == 1
    assert list(JOURNAL.glob("files-*")) == []


def test_files_outside_the_journal_are_never_deleted(server: Server, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("a page", encoding="utf-8")
    append(LogFile(run="r", file=str(page)))
    (entry,) = waiting()
    foreign = LogFile(run="r", file=str(page)).model_dump_json()
    with closing(sqlite3.connect(JOURNAL / "operations.sqlite")) as connection, connection:
        connection.execute("update operations set body = ? where sequence = ?", (foreign, entry.sequence))
    assert forget(waiting()) == 1
    assert page.exists()
    for folder in leftover_files():
        shutil.rmtree(folder)


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
        monkeypatch.setattr(journal, "check_answers", check_answers)
        with pytest.raises(TrackingRefusedError, match=what_to_do) as caught:
            start_telling()
        assert "secret" not in str(caught.value)
        # In the middle of a run the same is no reason to lose hours of work.
        assert open_run("tune").startswith(LOCAL)
        http.shutdown()
        assert count_waiting() == 1
        forget(waiting())
